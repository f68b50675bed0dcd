use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut, matmul};
use crate::pack::PackedMatrix;

/// x[rows, K] · W[K, N] + b. Each output is one chain of fused multiply-adds over k ascending from 0; the bias is added
/// last. Bounded: (K + 1)·u·Σ|terms|.
pub fn linear(
    ctx: &Context<'_>,
    x: &[f32],
    rows: usize,
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of linear", x.len(), &[rows, w.k()])?;
    expect_len("out of linear", out.len(), &[rows, w.n()])?;
    if rows == 0 || w.n() == 0 {
        return ctx.result();
    }
    matmul(ctx, Rows { data: x, rows, step: w.k() }, w, bias, RowsMut { data: out, rows, step: w.n() })
}
