use super::groups::{Groups, Operand};
use super::head_linear_grad_weight::Sizes;
use super::split::{expect_len, row_count};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};

/// out[c, block of h, :] = Σ_t z[t, h]ᵀ · ct[t, h]: [groups, heads·d, m] of z [tokens, heads, d] and ct [tokens, heads, m], or
/// [tokens, m] for the head `only`, where the other heads get 0. As linear_grad_weight.
pub fn head_result_grad_weight(
    ctx: &Context<'_>,
    sizes: Sizes,
    z: &[f32],
    ct: &[f32],
    only: Option<usize>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { groups: count, heads, rows: d, columns: m } = sizes;
    expect_len("out of head_result_grad_weight", out.len(), &[count, heads, d, m])?;
    if let Some(head) = only.filter(|&head| head >= heads) {
        return Err(KernelError::OutOfRange { what: "head", limit: heads, got: head });
    }
    if out.is_empty() {
        return ctx.result();
    }
    let (z_step, ct_step) = (heads * d, if only.is_some() { m } else { heads * m });
    let rows = [
        row_count("z of head_result_grad_weight", z.len(), z_step)?,
        row_count("ct of head_result_grad_weight", ct.len(), ct_step)?,
    ];
    let groups = Groups::new(count, &rows)?;
    for (at, out) in out.chunks_exact_mut(d * m).enumerate() {
        let (group, head) = (at / heads, at % heads);
        if only.is_some_and(|only| only != head) {
            out.fill(0.0);
            continue;
        }
        let a = Operand { data: z, rows: rows[0], step: z_step, offset: head * d };
        let b = Operand { data: ct, rows: rows[1], step: ct_step, offset: if only.is_some() { 0 } else { head * m } };
        groups.product(ctx, group, [d, m], [a, b], RowsMut { data: out, rows: d, step: m })?;
    }
    ctx.result()
}
