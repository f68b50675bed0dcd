use super::activation::Function;
use super::split::expect_len;
use crate::epilogue::Epilogue;
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut, matmul_then};
use crate::pack::PackedMatrix;

/// What is made of a product: function(beta·onto + alpha·(x·W + b)).
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    pub bias: Option<&'a [f32]>,
    pub alpha: f32,
    /// 0: `onto` is not read.
    pub beta: f32,
    /// [rows, N]
    pub onto: Option<&'a [f32]>,
    pub function: Option<Function>,
}

impl Default for Linear<'_> {
    fn default() -> Self {
        Linear { bias: None, alpha: 1.0, beta: 0.0, onto: None, function: None }
    }
}

/// x[rows, K] · W[K, N] + b. Each output is one chain of fused multiply-adds over k ascending from 0; the bias is added
/// after it. Bounded: (K + 1)·u·Σ|terms|. Then times alpha, rounded; plus beta times `onto`, fused; then the function: the
/// bits of these steps one after the other.
pub fn linear(
    ctx: &Context<'_>,
    x: &[f32],
    rows: usize,
    w: &PackedMatrix,
    linear: Linear<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Linear { bias, alpha, beta, onto, function } = linear;
    let width = w.n();
    expect_len("x of linear", x.len(), &[rows, w.k()])?;
    expect_len("out of linear", out.len(), &[rows, width])?;
    if let Some(onto) = onto {
        expect_len("onto of linear", onto.len(), &[rows, width])?;
    }
    if rows == 0 || width == 0 {
        return ctx.result();
    }
    let onto = onto.map(|data| Rows { data, rows, step: width });
    let then = Epilogue { alpha, beta, onto, function: function.map(Function::on_rows) };
    matmul_then(ctx, Rows { data: x, rows, step: w.k() }, w, bias, then, RowsMut { data: out, rows, step: width })
}
