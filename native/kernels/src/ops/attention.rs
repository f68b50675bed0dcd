use super::mix::block_mix;
use super::on_scores::OnScores;
use super::scores::{Heads, Masking, QUERIES, block_scores};
use super::softmax::softmax_seen;
use super::split::{Rows, expect_len, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_scratch;

/// Where attention writes; what nobody reads is `None` and never leaves the cache.
#[derive(Debug)]
pub struct AttentionOut<'a> {
    /// [rows, pos, heads, value width]
    pub z: &'a mut [f32],
    /// [rows, heads, pos, keys]
    pub scores: Option<&'a mut [f32]>,
    /// [rows, heads, pos, keys]
    pub pattern: Option<&'a mut [f32]>,
}

/// scores, what is done on them, softmax and mix for one block of queries after the other, made of the same row functions:
/// capturing scores or pattern changes no bit. The captured scores are those that softmax reads. `value_width` is the width of v and z; `heads.width` that of q and k.
pub fn attention(
    ctx: &Context<'_>,
    heads: Heads,
    value_width: usize,
    [q, k, v]: [&[f32]; 3],
    masking: Masking<'_>,
    on: OnScores<'_>,
    to: AttentionOut<'_>,
) -> Result<(), KernelError> {
    let values = Heads { width: value_width, ..heads };
    heads.check()?;
    expect_len("q of attention", q.len(), &heads.query_len())?;
    expect_len("k of attention", k.len(), &heads.key_len())?;
    expect_len("v of attention", v.len(), &values.key_len())?;
    expect_len("z of attention", to.z.len(), &values.query_len())?;
    for square in [&to.scores, &to.pattern].into_iter().flatten() {
        expect_len("scores or pattern of attention", square.len(), &heads.square_len())?;
    }
    if let Some(keys) = masking.keys {
        expect_len("mask of attention", keys.len(), &[heads.rows, heads.keys])?;
    }
    on.check(&heads)?;
    let keys = heads.keys;
    if keys == 0 {
        // Nothing to read, and no rows of scores.
        to.z.fill(0.0);
        return ctx.result();
    }
    let z = Rows::new(to.z, value_width);
    let scores = to.scores.map(|scores| Rows::new(scores, keys));
    let pattern = to.pattern.map(|pattern| Rows::new(pattern, keys));
    let rows_len =
        QUERIES.min(heads.pos).checked_mul(keys).ok_or(KernelError::TooLarge { what: "scores of a block" })?;
    let scratch_len = [scores.is_none(), pattern.is_none()].iter().filter(|&&own| own).count() * rows_len;
    try_tasks(ctx, heads.blocks(), &|task| {
        let block = heads.block(task);
        let count = block.queries.len();
        let done = with_scratch(scratch_len + count * value_width, |scratch| {
            let (result, scratch) = scratch.split_at_mut(count * value_width);
            let (own_scores, rest) = scratch.split_at_mut(if scores.is_none() { rows_len } else { 0 });
            let square = heads.square_rows(&block);
            let score_rows = match &scores {
                // SAFETY: each task has a block of rows of its own.
                Some(scores) => unsafe { scores.take(square.clone()) },
                None => &mut own_scores[..count * keys],
            };
            let pattern_rows = match &pattern {
                // SAFETY: as above.
                Some(pattern) => unsafe { pattern.take(square) },
                None => &mut rest[..count * keys],
            };
            block_scores(ctx, &heads, &block, q, k, masking, score_rows)?;
            on.apply(ctx.isa, &heads, &block, &|query| masking.reach.seen(&heads, query), score_rows);
            let lines = pattern_rows.chunks_exact_mut(keys).zip(score_rows.chunks_exact(keys));
            for (query, (pattern, scores)) in block.queries.clone().zip(lines) {
                softmax_seen(ctx.isa, pattern, scores, masking.reach.seen(&heads, query));
            }
            block_mix(ctx, &values, &block, pattern_rows, masking.reach.of_block(&heads, &block.queries), v, result)?;
            for (query, result) in block.queries.clone().zip(result.chunks_exact(value_width.max(1))) {
                let vector = values.vector(&block, query);
                // SAFETY: a vector of z belongs to one query of one head of one row, so to one task.
                unsafe { z.take(vector..vector + 1) }.copy_from_slice(result);
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "scores of a block" })?
    })
}
