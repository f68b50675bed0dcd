use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::{Context, Part, Rows, RowsMut, matmul_part};
use crate::pack::PackedMatrix;

/// out[t, h] = x[t, h] · W[:, block of h] + b[block of h]: every head has its own input. x is [tokens, heads, K], out
/// [tokens, heads, N / heads]. Same chain as linear.
pub fn head_linear(
    ctx: &Context<'_>,
    x: &[f32],
    tokens: usize,
    heads: usize,
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let (k, n) = (w.k(), w.n());
    if heads == 0 || n % heads != 0 {
        return Err(KernelError::Shape { what: "columns of head_linear", expected: heads, got: n });
    }
    expect_len("x of head_linear", x.len(), &[tokens, heads, k])?;
    expect_len("out of head_linear", out.len(), &[tokens, n])?;
    if let Some(bias) = bias {
        expect_len("bias of head_linear", bias.len(), &[n])?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    let width = n / heads;
    for head in 0..heads {
        let columns = head * width..(head + 1) * width;
        let a = Rows { data: x.get(head * k..).unwrap_or_default(), rows: tokens, step: heads * k };
        let c = RowsMut { data: &mut out[columns.start..], rows: tokens, step: n };
        let bias = bias.map(|bias| &bias[columns.clone()]);
        matmul_part(ctx, a, w, Part { k: 0..k, n: columns }, bias, c)?;
    }
    ctx.result()
}
