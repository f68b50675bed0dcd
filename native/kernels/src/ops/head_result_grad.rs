use super::head_linear::head_linear;
use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::{Context, Part, Rows, RowsMut, matmul_part};
use crate::pack::PackedMatrix;

/// The cotangent of z under head_result: out[t, h] = ct[t, h] · (block of h of W)ᵀ, `w` being Wᵀ [m, heads·d]. ct is [tokens,
/// heads, m], or [tokens, m] for the head `only`, where the other heads get 0. Same chain as linear.
pub fn head_result_grad(
    ctx: &Context<'_>,
    ct: &[f32],
    tokens: usize,
    heads: usize,
    w: &PackedMatrix,
    only: Option<usize>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Some(head) = only else { return head_linear(ctx, ct, tokens, heads, w, None, out) };
    let (m, n) = (w.k(), w.n());
    if heads == 0 || n % heads != 0 {
        return Err(KernelError::Shape { what: "rows of head_result", expected: heads, got: n });
    }
    if head >= heads {
        return Err(KernelError::OutOfRange { what: "head", limit: heads, got: head });
    }
    expect_len("ct of head_result_grad", ct.len(), &[tokens, m])?;
    expect_len("out of head_result_grad", out.len(), &[tokens, n])?;
    out.fill(0.0);
    if out.is_empty() {
        return ctx.result();
    }
    let width = n / heads;
    let columns = head * width..(head + 1) * width;
    let c = RowsMut { data: &mut out[columns.start..], rows: tokens, step: n };
    matmul_part(ctx, Rows { data: ct, rows: tokens, step: m }, w, Part { k: 0..m, n: columns }, None, c)
}
