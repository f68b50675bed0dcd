use super::per_isa::per_isa;
use super::split::{Rows, expect_len, index_below, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

per_isa! {
    fn add_column(out: &mut [f32], ct: f32, column: &[f32]) {
        for (out, column) in out.iter_mut().zip(column) {
            *out = ct.mul_add(*column, *out);
        }
    }
}

/// The cotangent of x under columns: out[r, g] = Σ_c ct[r, g, c] · W[:, ids[r, c]], one chain over c ascending. ct is [rows,
/// groups, C], ids [rows, C], out [rows, groups, K]. Bounded: C·u·Σ|terms|.
pub fn columns_grad(
    ctx: &Context<'_>,
    ct: &[f32],
    [rows, groups]: [usize; 2],
    ids: &[i32],
    w: &PackedMatrix,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let width = w.k();
    for &id in ids {
        index_below("column id", id, w.n())?;
    }
    expect_len("out of columns_grad", out.len(), &[rows, groups, width])?;
    let count = ids.len().checked_div(rows).unwrap_or(0);
    expect_len("ids of columns_grad", ids.len(), &[rows, count])?;
    expect_len("ct of columns_grad", ct.len(), &[rows, groups, count])?;
    if out.is_empty() {
        return ctx.result();
    }
    let out = Rows::new(out, groups * width);
    try_tasks(ctx, rows, &|row| {
        // SAFETY: each task has a row of its own.
        let out = unsafe { out.take(row..row + 1) };
        out.fill(0.0);
        let done = with_scratch(width, |column| {
            for (c, &id) in ids[row * count..(row + 1) * count].iter().enumerate() {
                w.gather_column(id as usize, column)?;
                for (group, out) in out.chunks_exact_mut(width).enumerate() {
                    add_column(ctx.isa, out, ct[(row * groups + group) * count + c], column);
                }
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "gathered column" })?
    })
}
