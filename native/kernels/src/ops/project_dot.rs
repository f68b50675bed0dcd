use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn dots(out: &mut [f32], x: &[f32], direction: &[f32]) {
        for (out, row) in out.iter_mut().zip(x.chunks_exact(direction.len())) {
            *out = tree_dot(row, direction);
        }
    }
}

/// out[r] = x[r, :] · direction by the fixed tree. Exact.
pub fn project_dot(ctx: &Context<'_>, x: &[f32], direction: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let width = direction.len();
    expect_len("x of project_dot", x.len(), &[out.len(), width])?;
    if width == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    fill_rows(ctx, out.len(), width, [(out, 1)], &|rows, [out]| {
        dots(ctx.isa, out, &x[rows.start * width..rows.end * width], direction);
    })
}
