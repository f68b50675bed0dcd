use super::groups::Groups;
use super::scatter_rows::add_to;
use super::split::{Rows, expect_len, index_below, row_count, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of the gradient [groups, vocabulary, width], or [groups, width, vocabulary] where `transposed`.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub groups: usize,
    pub vocabulary: usize,
    pub width: usize,
    pub transposed: bool,
}

/// About this many floats of the output belong to one task, and there are at most so many tasks, since each looks at all ids.
const TASK: usize = 1 << 16;
const TASKS: usize = 256;

/// out[c, v] = Σ ct[t] over the tokens t of group c whose id is v, t ascending from +0; 0 where there is none. ct is [tokens,
/// width]; the one of ids and ct with fewer tokens serves the groups anew. Exact.
pub fn embed_grad(
    ctx: &Context<'_>,
    sizes: Sizes,
    ids: &[i32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { groups: count, vocabulary, width, transposed } = sizes;
    expect_len("out of embed_grad", out.len(), &[count, vocabulary, width])?;
    for &id in ids {
        index_below("token id", id, vocabulary)?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    let tokens = row_count("ct of embed_grad", ct.len(), width)?;
    let groups = Groups::new(count, &[ids.len(), tokens])?;
    // A task takes some rows of the table as it lies in memory, and adds to them what belongs to them.
    let [table_rows, table_width] = if transposed { [width, vocabulary] } else { [vocabulary, width] };
    let rows = (TASK / table_width).max(table_rows.div_ceil(TASKS)).max(1);
    let blocks = table_rows.div_ceil(rows);
    let out = Rows::new(out, table_width);
    try_tasks(ctx, count * blocks, &|task| {
        let (group, block) = (task / blocks, task % blocks);
        let mine = block * rows..table_rows.min((block + 1) * rows);
        // SAFETY: each task has rows of its own.
        let out = unsafe { out.take(group * table_rows + mine.start..group * table_rows + mine.end) };
        out.fill(0.0);
        for at in 0..groups.rows {
            let id = ids[groups.row(group, at, ids.len())] as usize;
            let token = groups.row(group, at, tokens);
            let ct = &ct[token * width..(token + 1) * width];
            if transposed {
                for (out, ct) in out[id..].iter_mut().step_by(vocabulary).zip(&ct[mine.clone()]) {
                    *out += ct;
                }
            } else if mine.contains(&id) {
                let at = (id - mine.start) * width;
                add_to(ctx.isa, &mut out[at..at + width], ct);
            }
        }
        Ok(())
    })
}
