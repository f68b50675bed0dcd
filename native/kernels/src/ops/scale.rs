use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn slices(out: &mut [f32], x: &[f32], factor: f32) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x * factor;
        }
    }
}

/// x · factor, elementwise. Exact.
pub fn scale(ctx: &Context<'_>, x: &[f32], factor: f32, out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("x of scale", x.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 1, [(out, 1)], &|rows, [out]| slices(ctx.isa, out, &x[rows], factor))
}
