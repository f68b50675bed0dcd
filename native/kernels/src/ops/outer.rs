use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn rows_of(out: &mut [f32], ct: &[f32], direction: &[f32]) {
        for (out, ct) in out.chunks_exact_mut(direction.len()).zip(ct) {
            for (out, direction) in out.iter_mut().zip(direction) {
                *out = ct * direction;
            }
        }
    }
}

/// out[r, :] = ct[r] · direction. Exact.
pub fn outer(ctx: &Context<'_>, ct: &[f32], direction: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let width = direction.len();
    expect_len("out of outer", out.len(), &[ct.len(), width])?;
    if out.is_empty() {
        return ctx.result();
    }
    fill_rows(ctx, ct.len(), width, [(out, width)], &|rows, [out]| rows_of(ctx.isa, out, &ct[rows], direction))
}
