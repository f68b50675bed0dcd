use super::groups::Groups;
use super::per_isa::per_isa;
use super::split::{Rows, expect_len, fill_rows, try_tasks};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_scratch;

/// Scores [rows, heads, pos, keys].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub heads: usize,
    pub pos: usize,
    pub keys: usize,
}

per_isa! {
    pub(crate) fn alibi_row(row: &mut [f32], slope: f32, positions: &[i32]) {
        for (x, &position) in row.iter_mut().zip(positions) {
            let sum = slope.mul_add(position as f32, *x);
            *x = if *x == f32::NEG_INFINITY { *x } else { sum };
        }
    }
}

per_isa! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        tree_dot(a, b)
    }
}

/// out[r, h, i, j] = x[r, h, i, j] + slopes[h]·positions[r, j], fused; −∞ stays. Exact. Press et al., ALiBi, 2021.
pub fn add_alibi(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    positions: &[i32],
    slopes: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, heads, pos, keys } = sizes;
    expect_len("x of add_alibi", x.len(), &[rows, heads, pos, keys])?;
    expect_len("positions of add_alibi", positions.len(), &[rows, keys])?;
    expect_len("slopes of add_alibi", slopes.len(), &[heads])?;
    expect_len("out of add_alibi", out.len(), &[rows, heads, pos, keys])?;
    if out.is_empty() {
        return ctx.result();
    }
    fill_rows(ctx, rows * heads * pos, 2 * keys, [(out, keys)], &|lines, [out]| {
        out.copy_from_slice(&x[lines.start * keys..lines.end * keys]);
        for (line, out) in lines.zip(out.chunks_exact_mut(keys)) {
            let (row, head) = (line / pos / heads, line / pos % heads);
            alibi_row(ctx.isa, out, slopes[head], &positions[row * keys..(row + 1) * keys]);
        }
    })
}

/// out[c, h] = Σ positions[r, j]·ct[r, h, i, j] over the rows r of group c: over the keys of a query by the fixed tree, these
/// added in the order of rows and queries, from +0. `given` is how many rows `positions` has; with fewer than ct it serves
/// anew. Bounded: terms·u·Σ|terms|.
pub fn add_alibi_grad(
    ctx: &Context<'_>,
    count: usize,
    sizes: Sizes,
    positions: &[i32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, heads, pos, keys } = sizes;
    let given = positions.len().checked_div(keys).unwrap_or(rows);
    expect_len("positions of add_alibi_grad", positions.len(), &[given, keys])?;
    expect_len("ct of add_alibi_grad", ct.len(), &[rows, heads, pos, keys])?;
    expect_len("out of add_alibi_grad", out.len(), &[count, heads])?;
    if out.is_empty() {
        return ctx.result();
    }
    let groups = Groups::new(count, &[given, rows])?;
    let out = Rows::new(out, 1);
    try_tasks(ctx, count * heads, &|task| {
        let (group, head) = (task / heads, task % heads);
        let done = with_scratch(keys, |places| {
            let mut sum = 0.0f32;
            for at in 0..groups.rows {
                let own = groups.row(group, at, given) * keys;
                for (place, position) in places.iter_mut().zip(&positions[own..own + keys]) {
                    *place = *position as f32;
                }
                let first = (groups.row(group, at, rows) * heads + head) * pos;
                for line in ct[first * keys..(first + pos) * keys].chunks_exact(keys.max(1)) {
                    sum += dot(ctx.isa, places, line);
                }
            }
            // SAFETY: each task has an entry of its own.
            unsafe { out.take(task..task + 1) }.fill(sum);
        });
        done.ok_or(KernelError::TooLarge { what: "positions of add_alibi_grad" })
    })
}
