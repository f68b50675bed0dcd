use super::groups::Groups;
use super::split::{Rows, expect_len, index_below, row_count, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of the gradients [groups, width, vocabulary] and [groups, vocabulary] of ct [rows, pos, columns].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub groups: usize,
    pub pos: usize,
    pub columns: usize,
    pub width: usize,
    pub vocabulary: usize,
}

/// Floats of the output that belong to one task, about.
const TASK: usize = 1 << 17;

/// out[q, :, v] = Σ x[r, g, :] · ct[r, g, c] over the (r, g, c) of group q with ids[r, c] = v, in the order of ct: one chain of
/// fused steps from +0; 0 where there is none. x is [rows, pos, width], ids [rows, C]; who has fewer rows serves the groups
/// anew. Bounded: terms·u·Σ|terms|.
pub fn columns_grad_weight(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    ids: &[i32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { groups: count, pos, columns, width, vocabulary } = sizes;
    expect_len("out of columns_grad_weight", out.len(), &[count, width, vocabulary])?;
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
        row_count("x of columns_grad_weight", x.len(), pos * width)?,
        row_count("ids of columns_grad_weight", ids.len(), columns)?,
        row_count("ct of columns_grad_weight", ct.len(), pos * columns)?,
    ];
    let groups = Groups::new(count, &rows)?;
    let lines = (TASK / vocabulary).max(1);
    let blocks = width.div_ceil(lines);
    let out = Rows::new(out, vocabulary);
    try_tasks(ctx, count * blocks, &|task| {
        let (group, block) = (task / blocks, task % blocks);
        let mine = block * lines..width.min((block + 1) * lines);
        // SAFETY: each task has rows of its own.
        let out = unsafe { out.take(group * width + mine.start..group * width + mine.end) };
        out.fill(0.0);
        for at in 0..groups.rows {
            let [x_row, ids_row, ct_row] = rows.map(|own| groups.row(group, at, own));
            let ids = &ids[ids_row * columns..(ids_row + 1) * columns];
            for place in 0..pos {
                let x = &x[(x_row * pos + place) * width..][mine.clone()];
                let ct = &ct[(ct_row * pos + place) * columns..][..columns];
                for (&id, ct) in ids.iter().zip(ct) {
                    for (out, x) in out[id as usize..].iter_mut().step_by(vocabulary).zip(x) {
                        *out = x.mul_add(*ct, *out);
                    }
                }
            }
        }
        Ok(())
    })
}
