use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn jump(out: &mut [f32], x: &[f32], threshold: &[f32]) {
        for ((out, &x), threshold) in out.iter_mut().zip(x).zip(threshold) {
            *out = if x > *threshold || x.is_nan() { x } else { 0.0 };
        }
    }
}

/// x where it exceeds the threshold of its column, else 0; NaN stays. Exact. Source: Rajamanoharan et al. 2024, JumpReLU.
pub fn jump_relu(ctx: &Context<'_>, x: &[f32], threshold: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let width = threshold.len();
    expect_len("out of jump_relu", out.len(), &[x.len()])?;
    let rows = row_count("x of jump_relu", x.len(), width)?;
    fill_rows(ctx, rows, width, [(out, width)], &|rows, [out]| {
        let x = &x[rows.start * width..rows.end * width];
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            jump(ctx.isa, out, x, threshold);
        }
    })
}
