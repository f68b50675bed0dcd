use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::{Context, Part, Rows, RowsMut, matmul_part};
use crate::pack::PackedMatrix;

/// out[t, h] = z[t, h] · W[block of h, :]: what each head writes to the residual stream; the bias belongs to no head.
/// z is [tokens, heads, K / heads], out [tokens, heads, N]; with `only`, that head alone as [tokens, N], with the bits it
/// has among all. Bounded: d·u·Σ|terms|.
pub fn head_result(
    ctx: &Context<'_>,
    z: &[f32],
    tokens: usize,
    heads: usize,
    w: &PackedMatrix,
    only: Option<usize>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let (k, n) = (w.k(), w.n());
    if heads == 0 || k % heads != 0 {
        return Err(KernelError::Shape { what: "rows of head_result", expected: heads, got: k });
    }
    if let Some(head) = only.filter(|&head| head >= heads) {
        return Err(KernelError::OutOfRange { what: "head", limit: heads, got: head });
    }
    expect_len("z of head_result", z.len(), &[tokens, k])?;
    let first = only.unwrap_or(0);
    let count = if only.is_some() { 1 } else { heads };
    expect_len("out of head_result", out.len(), &[tokens, count, n])?;
    if out.is_empty() {
        return ctx.result();
    }
    let width = k / heads;
    for at in 0..count {
        let rows = (first + at) * width..(first + at + 1) * width;
        let a = Rows { data: z.get(rows.start..).unwrap_or_default(), rows: tokens, step: k };
        let c = RowsMut { data: &mut out[at * n..], rows: tokens, step: count * n };
        matmul_part(ctx, a, w, Part { k: rows, n: 0..n }, None, c)?;
    }
    ctx.result()
}
