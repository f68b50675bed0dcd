use super::norm_scale::{Kind, row_mean};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    pub(crate) fn norm_scale_grad_rows(
        out: &mut [f32],
        x: &[f32],
        scale: &[f32],
        ct: &[f32],
        width: usize,
        kind: Kind,
    ) {
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(scale).zip(ct);
        for (((out, row), scale), ct) in rows {
            let mean = row_mean(kind, row);
            let factor = ct / (width as f32 * scale);
            for (out, x) in out.iter_mut().zip(row) {
                *out = (x - mean) * factor;
            }
        }
    }
}

/// The cotangent of x under norm_scale: layer (x − mean)·f, rms x·f with f = ct/(m·scale) in rows of m = `width`; ct is one
/// number a row. Each step is rounded. Exact.
pub fn norm_scale_grad(
    ctx: &Context<'_>,
    x: &[f32],
    scale: &[f32],
    ct: &[f32],
    width: usize,
    kind: Kind,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = row_count("x of norm_scale_grad", x.len(), width)?;
    expect_len("out of norm_scale_grad", out.len(), &[x.len()])?;
    if out.is_empty() {
        return ctx.result();
    }
    expect_len("scale of norm_scale_grad", scale.len(), &[rows])?;
    expect_len("ct of norm_scale_grad", ct.len(), &[rows])?;
    fill_rows(ctx, rows, 4 * width, [(out, width)], &|rows, [out]| {
        let part = &x[rows.start * width..rows.end * width];
        norm_scale_grad_rows(ctx.isa, out, part, &scale[rows.clone()], &ct[rows], width, kind);
    })
}
