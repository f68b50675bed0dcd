use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn slices(out: &mut [f32], a: &[f32], b: &[f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a - b;
        }
    }
}

/// a − b, elementwise. Exact.
pub fn subtract(ctx: &Context<'_>, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("a of subtract", a.len(), &[out.len()])?;
    expect_len("b of subtract", b.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 1, [(out, 1)], &|rows, [out]| slices(ctx.isa, out, &a[rows.clone()], &b[rows]))
}
