use super::gather_rows::Sizes;
use super::per_isa::per_isa;
use super::split::{Rows, expect_len, index_below, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    pub(crate) fn add_to(out: &mut [f32], term: &[f32]) {
        for (out, term) in out.iter_mut().zip(term) {
            *out += term;
        }
    }
}

/// out[r, p] = Σ ct[r, g] over the g with index[r, g] = p, g ascending from +0; 0 where there is none. The transpose of
/// gather_rows. Exact.
pub fn scatter_rows(
    ctx: &Context<'_>,
    sizes: Sizes,
    ct: &[f32],
    index: &[i32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, pos, groups, width } = sizes;
    expect_len("ct of scatter_rows", ct.len(), &[rows, groups, width])?;
    expect_len("index of scatter_rows", index.len(), &[rows, groups])?;
    expect_len("out of scatter_rows", out.len(), &[rows, pos, width])?;
    for &at in index {
        index_below("position to scatter to", at, pos)?;
    }
    let out = Rows::new(out, pos * width);
    try_tasks(ctx, rows, &|row| {
        // SAFETY: each task has a row of its own.
        let out = unsafe { out.take(row..row + 1) };
        out.fill(0.0);
        for group in row * groups..(row + 1) * groups {
            let to = index[group] as usize * width;
            add_to(ctx.isa, &mut out[to..to + width], &ct[group * width..(group + 1) * width]);
        }
        Ok(())
    })
}
