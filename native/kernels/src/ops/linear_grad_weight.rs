use super::groups::{Groups, Operand};
use super::split::{expect_len, row_count};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};

/// out[c] = Σ_t x[t, :]ᵀ · ct[t, :] over the rows t of group c: [groups, K, N] of x [rows, K] and ct [rows, N], where the one
/// with fewer rows serves the groups anew. One chain over the rows ascending. Bounded: rows·u·Σ|terms|.
pub fn linear_grad_weight(
    ctx: &Context<'_>,
    x: &[f32],
    ct: &[f32],
    [count, k, n]: [usize; 3],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("out of linear_grad_weight", out.len(), &[count, k, n])?;
    if out.is_empty() {
        return ctx.result();
    }
    let rows = [row_count("x of linear_grad_weight", x.len(), k)?, row_count("ct of linear_grad_weight", ct.len(), n)?];
    let groups = Groups::new(count, &rows)?;
    let a = Operand { data: x, rows: rows[0], step: k, offset: 0 };
    let b = Operand { data: ct, rows: rows[1], step: n, offset: 0 };
    for (group, out) in out.chunks_exact_mut(k * n).enumerate() {
        groups.product(ctx, group, [k, n], [a, b], RowsMut { data: out, rows: k, step: n })?;
    }
    ctx.result()
}
