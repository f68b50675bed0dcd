use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn clip_row(row: &mut [f32], low: f32, high: f32) {
        for x in row {
            let raised = if *x < low { low } else { *x };
            *x = if raised > high { high } else { raised };
        }
    }
}

per_isa! {
    fn clip_grad_row(ct: &mut [f32], x: &[f32], low: f32, high: f32) {
        for (ct, &x) in ct.iter_mut().zip(x) {
            let inside = if x > low && x < high { *ct } else { 0.0 };
            *ct = if x.is_nan() { x } else { inside };
        }
    }
}

/// min(max(x, low), high); NaN stays NaN. Exact.
pub fn clip(ctx: &Context<'_>, x: &[f32], [low, high]: [f32; 2], out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("x of clip", x.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 2, [(out, 1)], &|rows, [out]| {
        out.copy_from_slice(&x[rows]);
        clip_row(ctx.isa, out, low, high);
    })
}

/// ct where x lies between the bounds, 0 on and beyond them, NaN where x is. Exact.
pub fn clip_grad(
    ctx: &Context<'_>,
    x: &[f32],
    ct: &[f32],
    [low, high]: [f32; 2],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of clip_grad", x.len(), &[out.len()])?;
    expect_len("ct of clip_grad", ct.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 2, [(out, 1)], &|rows, [out]| {
        out.copy_from_slice(&ct[rows.clone()]);
        clip_grad_row(ctx.isa, out, &x[rows], low, high);
    })
}
