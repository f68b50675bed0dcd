use super::columns_grad_weight::Sizes;
use super::groups::Groups;
use super::split::{Rows, expect_len, index_below, row_count, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// out[q, v] = Σ ct[r, g, c] over the (r, g, c) of group q with ids[r, c] = v, in the order of ct from +0; 0 where there is
/// none. ids is [rows, C]; who has fewer rows serves the groups anew. Bounded: terms·u·Σ|terms|.
pub fn columns_grad_bias(
    ctx: &Context<'_>,
    sizes: Sizes,
    ids: &[i32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { groups: count, pos, columns, vocabulary, .. } = sizes;
    expect_len("out of columns_grad_bias", out.len(), &[count, vocabulary])?;
    for &id in ids {
        index_below("column id", id, vocabulary)?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    if pos == 0 || columns == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    let rows = [
        row_count("ids of columns_grad_bias", ids.len(), columns)?,
        row_count("ct of columns_grad_bias", ct.len(), pos * columns)?,
    ];
    let groups = Groups::new(count, &rows)?;
    let out = Rows::new(out, vocabulary);
    try_tasks(ctx, count, &|group| {
        // SAFETY: each task has a group of its own.
        let out = unsafe { out.take(group..group + 1) };
        out.fill(0.0);
        for at in 0..groups.rows {
            let [ids_row, ct_row] = rows.map(|own| groups.row(group, at, own));
            let ids = &ids[ids_row * columns..(ids_row + 1) * columns];
            for ct in ct[ct_row * pos * columns..(ct_row + 1) * pos * columns].chunks_exact(columns) {
                for (&id, ct) in ids.iter().zip(ct) {
                    out[id as usize] += ct;
                }
            }
        }
        Ok(())
    })
}
