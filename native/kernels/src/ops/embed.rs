use super::split::{Rows, expect_len, index_below, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// Rows of a stored table, widened to f32.
pub trait Table: Sync {
    /// Number of rows.
    fn count(&self) -> usize;
    /// Entries of a row.
    fn width(&self) -> usize;
    /// Copies a row to `out`, which has its width.
    fn read(&self, row: usize, out: &mut [f32]) -> Result<(), KernelError>;
}

/// Rows of one task.
const BLOCK: usize = 64;

/// out[i, :] = table[ids[i], :]. Exact. An id outside the table is an error, found before anything is written.
pub fn embed(ctx: &Context<'_>, ids: &[i32], table: &dyn Table, out: &mut [f32]) -> Result<(), KernelError> {
    let width = table.width();
    expect_len("out of embed", out.len(), &[ids.len(), width])?;
    for &id in ids {
        index_below("token id", id, table.count())?;
    }
    let out = Rows::new(out, width);
    try_tasks(ctx, ids.len().div_ceil(BLOCK), &|task| {
        let rows = task * BLOCK..ids.len().min((task + 1) * BLOCK);
        // SAFETY: each task has a block of its own.
        let out = unsafe { out.take(rows.clone()) };
        for (&id, out) in ids[rows].iter().zip(out.chunks_exact_mut(width.max(1))) {
            table.read(id as usize, out)?;
        }
        Ok(())
    })
}
