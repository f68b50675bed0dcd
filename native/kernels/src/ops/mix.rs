use std::ops::Range;

use super::scores::{Block, Heads};
use super::split::expect_len;
use crate::bmm::{Batch, BatchMut, Sizes, View, Zeros, bmm, product};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};

/// The results of one block, `z` being [queries, width]. `pattern` holds its rows of `keys`, of which the entries
/// in `reach` are read (the others are 0).
pub(crate) fn block_mix(
    ctx: &Context<'_>,
    heads: &Heads,
    block: &Block,
    pattern: &[f32],
    reach: Range<usize>,
    v: &[f32],
    z: &mut [f32],
) -> Result<(), KernelError> {
    let a = View { data: &pattern[reach.start..], row: heads.keys, column: 1 };
    let b = View { data: heads.keyed(block, reach.start, v), row: heads.kv_heads * heads.width, column: 1 };
    let sizes = Sizes { m: block.queries.len(), n: heads.width, k: reach.len() };
    product(ctx, sizes, a, b, RowsMut { data: z, rows: sizes.m, step: heads.width }, Zeros::Skip)
}

/// z[r, i, h] = Σ_j pattern[r, h, i, j] · v[r, j, kv(h)], one chain over keys ascending. A weight of exactly 0 reads nothing,
/// so the NaN of a masked position stays where it is. `heads.width` is that of the values. Bounded: keys·u·Σ|terms|.
pub fn mix(ctx: &Context<'_>, heads: Heads, pattern: &[f32], v: &[f32], z: &mut [f32]) -> Result<(), KernelError> {
    heads.check()?;
    expect_len("pattern of mix", pattern.len(), &heads.square_len())?;
    expect_len("v of mix", v.len(), &heads.key_len())?;
    expect_len("z of mix", z.len(), &heads.query_len())?;
    if z.is_empty() {
        return ctx.result();
    }
    let Heads { rows, pos, keys, heads: count, kv_heads, width } = heads;
    let a = Batch { data: pattern, batch: [count * pos * keys, pos * keys], share: 1, row: keys, column: 1 };
    let b = Batch {
        data: v,
        batch: [keys * kv_heads * width, width],
        share: count / kv_heads,
        row: kv_heads * width,
        column: 1,
    };
    let c = BatchMut { data: z, batch: [pos * count * width, width], row: count * width };
    bmm(ctx, [rows, count], Sizes { m: pos, n: width, k: keys }, a, b, c, Zeros::Skip)
}
