use super::math::tanh;
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    pub(crate) fn cap_row(row: &mut [f32], cap: f32) {
        for x in row {
            let capped = cap * tanh(*x / cap);
            *x = if *x == f32::NEG_INFINITY { *x } else { capped };
        }
    }
}

per_isa! {
    /// `ct` becomes the cotangent of what the cap was put on.
    pub(crate) fn cap_grad_row(ct: &mut [f32], capped: &[f32], cap: f32) {
        for (ct, &capped) in ct.iter_mut().zip(capped) {
            let t = capped / cap;
            let slope = (-t).mul_add(t, 1.0);
            *ct = if capped == f32::NEG_INFINITY { 0.0 } else { *ct * slope };
        }
    }
}

/// cap·tanh(x/cap); −∞ stays −∞, so that a masked score stays masked, and NaN stays NaN. Bounded: 8u·|out|, and (cap + 1)·2^-149
/// absolute.
pub fn soft_cap(ctx: &Context<'_>, x: &[f32], cap: f32, out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("x of soft_cap", x.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 16, [(out, 1)], &|rows, [out]| {
        out.copy_from_slice(&x[rows]);
        cap_row(ctx.isa, out, cap);
    })
}

/// ct·(1 − (capped/cap)²), fused, where `capped` is what [`soft_cap`] gave; 0 where that is −∞, and ct is not read there. Exact.
pub fn soft_cap_grad(
    ctx: &Context<'_>,
    capped: &[f32],
    ct: &[f32],
    cap: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("capped of soft_cap_grad", capped.len(), &[out.len()])?;
    expect_len("ct of soft_cap_grad", ct.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 4, [(out, 1)], &|rows, [out]| {
        out.copy_from_slice(&ct[rows.clone()]);
        cap_grad_row(ctx.isa, out, &capped[rows], cap);
    })
}
