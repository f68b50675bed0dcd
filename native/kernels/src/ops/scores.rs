use std::ops::Range;

use super::per_isa::per_isa;
use super::split::{Rows, expect_len, try_tasks};
use crate::bmm::{Sizes, View, Zeros, product};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};

/// Sizes of attention: q [rows, pos, heads, width], k [rows, keys, kv_heads, width], pattern [rows, heads, pos, keys].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heads {
    pub rows: usize,
    /// Queries.
    pub pos: usize,
    pub keys: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub width: usize,
}

/// Queries that one task works on: their score rows stay in the second cache, and packing the keys anew for each block
/// costs 1/64 of the product.
pub(crate) const QUERIES: usize = 64;

impl Heads {
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let fits = self.heads.is_multiple_of(self.kv_heads);
        let what = "heads per key/value head";
        if fits { Ok(()) } else { Err(KernelError::Shape { what, expected: self.kv_heads, got: self.heads }) }
    }

    /// One block of queries of one head of one row.
    pub(crate) fn block(&self, task: usize) -> Block {
        let blocks = self.pos.div_ceil(QUERIES);
        let (product, block) = (task / blocks, task % blocks);
        let (row, head) = (product / self.heads, product % self.heads);
        let queries = block * QUERIES..self.pos.min((block + 1) * QUERIES);
        Block { row, head, kv_head: head * self.kv_heads / self.heads, queries }
    }

    /// The query heads that read a key/value head.
    pub(crate) fn group(&self, kv_head: usize) -> Range<usize> {
        let share = self.heads / self.kv_heads;
        kv_head * share..(kv_head + 1) * share
    }

    pub(crate) fn blocks(&self) -> usize {
        self.rows * self.heads * self.pos.div_ceil(QUERIES)
    }

    pub(crate) fn query_len(&self) -> [usize; 4] {
        [self.rows, self.pos, self.heads, self.width]
    }

    pub(crate) fn key_len(&self) -> [usize; 4] {
        [self.rows, self.keys, self.kv_heads, self.width]
    }

    pub(crate) fn square_len(&self) -> [usize; 4] {
        [self.rows, self.heads, self.pos, self.keys]
    }

    /// Which vector of [rows, pos, heads] belongs to a query of the block.
    pub(crate) fn vector(&self, block: &Block, query: usize) -> usize {
        (block.row * self.pos + query) * self.heads + block.head
    }

    /// What begins with a key or value of the block's head in [rows, keys, kv_heads, width]; nothing behind the last.
    pub(crate) fn keyed<'a>(&self, block: &Block, key: usize, data: &'a [f32]) -> &'a [f32] {
        let at = ((block.row * self.keys + key) * self.kv_heads + block.kv_head) * self.width;
        data.get(at..).unwrap_or_default()
    }

    /// Rows of a [rows, heads, pos, keys] value that belong to a block.
    pub(crate) fn square_rows(&self, block: &Block) -> Range<usize> {
        let first = (block.row * self.heads + block.head) * self.pos;
        first + block.queries.start..first + block.queries.end
    }
}

pub(crate) struct Block {
    pub row: usize,
    pub head: usize,
    pub kv_head: usize,
    pub queries: Range<usize>,
}

/// Which keys a query may read by their places. The last query stands at the last key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// A query reads no later key.
    pub causal: bool,
    /// A query reads only keys less than so many away, on both sides unless `causal`; 0: however far.
    pub window: usize,
}

impl Reach {
    pub const CAUSAL: Reach = Reach { causal: true, window: 0 };

    /// The keys that a query reads: neither end goes back from one query to the next.
    pub(crate) fn seen(&self, heads: &Heads, query: usize) -> Range<usize> {
        // One behind the place of the query, which may lie before the first key.
        let behind = query + 1 + heads.keys;
        let forth = match (self.causal, self.window) {
            (true, _) => 0,
            (false, 0) => heads.pos,
            (false, window) => window - 1,
        };
        let end = behind.saturating_add(forth).saturating_sub(heads.pos).min(heads.keys);
        let start = if self.window == 0 { 0 } else { behind.saturating_sub(self.window).saturating_sub(heads.pos) };
        start.min(end)..end
    }

    /// Keys that any query of the block reads: the others are never computed.
    pub(crate) fn of_block(&self, heads: &Heads, queries: &Range<usize>) -> Range<usize> {
        self.seen(heads, queries.start).start..self.seen(heads, queries.end - 1).end
    }
}

/// How queries meet keys.
#[derive(Clone, Copy, Debug)]
pub struct Masking<'a> {
    pub scale: f32,
    pub reach: Reach,
    /// [rows, keys]; 0 hides a key from every query.
    pub keys: Option<&'a [i32]>,
}

per_isa! {
    pub(crate) fn scale_row(row: &mut [f32], scale: f32) {
        for score in row {
            *score *= scale;
        }
    }
}

/// The scores of one block, `out` being its rows of `keys`.
pub(crate) fn block_scores(
    ctx: &Context<'_>,
    heads: &Heads,
    block: &Block,
    q: &[f32],
    k: &[f32],
    masking: Masking<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Heads { keys, width, .. } = *heads;
    let reach = masking.reach.of_block(heads, &block.queries);
    let a = View { data: &q[heads.vector(block, block.queries.start) * width..], row: heads.heads * width, column: 1 };
    let b = View { data: heads.keyed(block, reach.start, k), row: 1, column: heads.kv_heads * width };
    let sizes = Sizes { m: block.queries.len(), n: reach.len(), k: width };
    let c = RowsMut { data: &mut out[reach.start..], rows: sizes.m, step: keys };
    product(ctx, sizes, a, b, c, Zeros::Multiply)?;
    let hidden = masking.keys.map(|mask| &mask[block.row * keys..(block.row + 1) * keys]);
    for (query, out) in block.queries.clone().zip(out.chunks_exact_mut(keys)) {
        let seen = masking.reach.seen(heads, query);
        out[..seen.start].fill(f32::NEG_INFINITY);
        out[seen.end..].fill(f32::NEG_INFINITY);
        scale_row(ctx.isa, &mut out[seen], masking.scale);
        for (score, _) in out.iter_mut().zip(hidden.unwrap_or_default()).filter(|(_, key)| **key == 0) {
            *score = f32::NEG_INFINITY;
        }
    }
    Ok(())
}

/// scores[r, h, i, j] = (q[r, i, h] · k[r, j, kv(h)]) · scale, kv(h) = ⌊h·kv_heads/heads⌋; −∞ where key j is hidden, by
/// `masking`. One chain over the width ascending, then one product. The NaN of a hidden key does no harm.
/// Bounded: (width + 1)·u·|scale|·Σ|q·k|.
pub fn scores(
    ctx: &Context<'_>,
    heads: Heads,
    q: &[f32],
    k: &[f32],
    masking: Masking<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    heads.check()?;
    expect_len("q of scores", q.len(), &heads.query_len())?;
    expect_len("k of scores", k.len(), &heads.key_len())?;
    expect_len("out of scores", out.len(), &heads.square_len())?;
    if let Some(keys) = masking.keys {
        expect_len("mask of scores", keys.len(), &[heads.rows, heads.keys])?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    let out = Rows::new(out, heads.keys);
    try_tasks(ctx, heads.blocks(), &|task| {
        let block = heads.block(task);
        // SAFETY: each task has a block of rows of its own.
        let out = unsafe { out.take(heads.square_rows(&block)) };
        block_scores(ctx, &heads, &block, q, k, masking, out)
    })
}
