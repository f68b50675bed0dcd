use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::{tree_squares, tree_sum};
use crate::error::KernelError;
use crate::gemm::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Centres, then divides by the standard deviation.
    Layer,
    /// Divides by the root of the mean square.
    Rms,
}

#[inline(always)]
pub(crate) fn row_mean(kind: Kind, row: &[f32]) -> f32 {
    if kind == Kind::Layer { tree_sum(row) / row.len() as f32 } else { 0.0 }
}

per_isa! {
    pub(crate) fn scale_rows(out: &mut [f32], x: &[f32], width: usize, kind: Kind, eps: f32) {
        for (out, row) in out.iter_mut().zip(x.chunks_exact(width)) {
            *out = (tree_squares(row, row_mean(kind, row)) / width as f32 + eps).sqrt();
        }
    }
}

/// What a norm divides a row by. layer: √(var + eps), var = Σ(x − mean)² / m in two passes; rms: √(Σx² / m + eps). Sums by
/// the fixed tree, squares fused; division, sum and root are rounded one by one. Exact.
pub fn norm_scale(
    ctx: &Context<'_>,
    x: &[f32],
    width: usize,
    kind: Kind,
    eps: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = row_count("x of norm_scale", x.len(), width)?;
    expect_len("out of norm_scale", out.len(), &[rows])?;
    fill_rows(ctx, rows, 2 * width, [(out, 1)], &|rows, [out]| {
        scale_rows(ctx.isa, out, &x[rows.start * width..rows.end * width], width, kind, eps);
    })
}
