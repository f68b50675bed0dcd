use super::norm_scale::{Kind, row_mean};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    pub(crate) fn normalize_rows(out: &mut [f32], x: &[f32], scale: &[f32], width: usize, kind: Kind) {
        for ((out, row), scale) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(scale) {
            let mean = row_mean(kind, row);
            for (out, x) in out.iter_mut().zip(row) {
                *out = (x - mean) / scale;
            }
        }
    }
}

/// layer: (x − mean) / scale; rms: x / scale. A true division, not a product with the reciprocal. Exact.
pub fn normalize(
    ctx: &Context<'_>,
    x: &[f32],
    scale: &[f32],
    width: usize,
    kind: Kind,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of normalize", x.len(), &[out.len()])?;
    let rows = row_count("x of normalize", x.len(), width)?;
    expect_len("scale of normalize", scale.len(), &[rows])?;
    fill_rows(ctx, rows, 2 * width, [(out, width)], &|rows, [out]| {
        normalize_rows(ctx.isa, out, &x[rows.start * width..rows.end * width], &scale[rows], width, kind);
    })
}
