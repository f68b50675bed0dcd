use super::groups::{Groups, Operand};
use super::split::{expect_len, row_count};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};

/// Sizes of the gradient of a weight that has a part for each head.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub groups: usize,
    pub heads: usize,
    /// Rows and columns of one head's part.
    pub rows: usize,
    pub columns: usize,
}

/// out[c, :, block of h] = Σ_t x[t, h]ᵀ · ct[t, h]: [groups, K, heads·d] of x [tokens, heads, K] and ct [tokens, heads, d].
/// As linear_grad_weight.
pub fn head_linear_grad_weight(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { groups: count, heads, rows: k, columns: d } = sizes;
    expect_len("out of head_linear_grad_weight", out.len(), &[count, k, heads, d])?;
    if out.is_empty() {
        return ctx.result();
    }
    let (x_step, n) = (heads * k, heads * d);
    let rows = [
        row_count("x of head_linear_grad_weight", x.len(), x_step)?,
        row_count("ct of head_linear_grad_weight", ct.len(), n)?,
    ];
    let groups = Groups::new(count, &rows)?;
    for (group, out) in out.chunks_exact_mut(k * n).enumerate() {
        for head in 0..heads {
            let a = Operand { data: x, rows: rows[0], step: x_step, offset: head * k };
            let b = Operand { data: ct, rows: rows[1], step: n, offset: head * d };
            let c = RowsMut { data: &mut out[head * d..], rows: k, step: n };
            groups.product(ctx, group, [k, d], [a, b], c)?;
        }
    }
    ctx.result()
}
