use std::ops::Range;

use super::per_isa::per_isa;
use super::scores::{Heads, QUERIES, Reach, scale_row};
use super::soft_cap::{cap_grad_row, cap_row};
use super::softmax_grad::softmax_grad_row;
use super::split::{Rows, expect_len, try_tasks};
use crate::bmm::{Sizes, View, Zeros, product, product_onto};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};
use crate::scratch::with_scratch;

/// What attention read and made, and the cotangent of z. `width` is that of q and k.
#[derive(Clone, Copy, Debug)]
pub struct AttentionGradIn<'a> {
    /// [rows, pos, heads, width]
    pub q: &'a [f32],
    /// [rows, keys, kv_heads, width]
    pub k: &'a [f32],
    /// [rows, keys, kv_heads, value width]
    pub v: &'a [f32],
    /// [rows, heads, pos, keys]
    pub pattern: &'a [f32],
    /// [rows, pos, heads, value width]
    pub ct: &'a [f32],
}

/// How the scores of a pattern were made, as far as the way back must know: what is added to them changes nothing there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scoring {
    pub scale: f32,
    pub reach: Reach,
    /// Of the products; what they were capped to is computed anew.
    pub cap: Option<f32>,
}

/// The cotangents of q, k and v, and of the scores that softmax read; what nobody reads is `None` and costs nothing.
#[derive(Debug)]
pub struct AttentionGradOut<'a> {
    pub dq: Option<&'a mut [f32]>,
    pub dk: Option<&'a mut [f32]>,
    pub dv: Option<&'a mut [f32]>,
    /// [rows, heads, pos, keys]
    pub ds: Option<&'a mut [f32]>,
}

/// dp = scores(ct, v), ds = softmax_grad(pattern, dp); where scores were capped, soft_cap_grad of that; then dq = mix(ds, k)·scale, dk = mix_transposed(ds, q)·scale and
/// dv = mix_transposed(pattern, ct), with the bits of these steps one after the other. One task takes a key/value head of a row
/// and goes over its queries in blocks, so that dp and ds never leave the cache. What lies out of
/// `reach` is taken as 0 and never computed.
pub fn attention_grad(
    ctx: &Context<'_>,
    heads: Heads,
    value_width: usize,
    from: AttentionGradIn<'_>,
    scoring: Scoring,
    to: AttentionGradOut<'_>,
) -> Result<(), KernelError> {
    let values = Heads { width: value_width, ..heads };
    heads.check()?;
    expect_len("q of attention_grad", from.q.len(), &heads.query_len())?;
    expect_len("k of attention_grad", from.k.len(), &heads.key_len())?;
    expect_len("v of attention_grad", from.v.len(), &values.key_len())?;
    expect_len("pattern of attention_grad", from.pattern.len(), &heads.square_len())?;
    expect_len("ct of attention_grad", from.ct.len(), &values.query_len())?;
    let wanted = [
        (&to.dq, heads.query_len()),
        (&to.dk, heads.key_len()),
        (&to.dv, values.key_len()),
        (&to.ds, heads.square_len()),
    ];
    for (out, sizes) in wanted {
        if let Some(out) = out {
            expect_len("cotangent of attention_grad", out.len(), &sizes)?;
        }
    }
    let Heads { rows, pos, keys, kv_heads, width, .. } = heads;
    if pos == 0 || keys == 0 || heads.heads == 0 {
        for out in [to.dq, to.dk, to.dv, to.ds].into_iter().flatten() {
            out.fill(0.0);
        }
        return ctx.result();
    }
    let [dq, dk, dv, ds] = [(to.dq, width), (to.dk, width), (to.dv, value_width), (to.ds, keys)]
        .map(|(out, width)| out.filter(|out| !out.is_empty()).map(|out| Rows::new(out, width)));
    let queries = QUERIES.min(pos);
    let lens = [
        queries.checked_mul(keys),
        queries.checked_mul(2 * QUERIES),
        queries.checked_mul(width),
        queries.checked_mul(if scoring.cap.is_some() { keys } else { 0 }),
        keys.checked_mul(if dk.is_some() { width } else { 0 }),
        keys.checked_mul(if dv.is_some() { value_width } else { 0 }),
    ];
    let too_large = KernelError::TooLarge { what: "sums of a head" };
    let total = lens.iter().try_fold(0usize, |total, len| total.checked_add((*len)?)).ok_or(too_large.clone())?;
    let lens = lens.map(Option::unwrap_or_default);
    try_tasks(ctx, rows * kv_heads, &|task| {
        let (row, kv_head) = (task / kv_heads, task % kv_heads);
        let head_grad = HeadGrad { ctx, heads, value_width, from, scoring, row, kv_head };
        let done = with_scratch(total, |scratch| {
            let (squares, rest) = scratch.split_at_mut(lens[0]);
            let (corner, rest) = rest.split_at_mut(lens[1]);
            let (dq_block, rest) = rest.split_at_mut(lens[2]);
            let (capped, rest) = rest.split_at_mut(lens[3]);
            let (dk_sum, dv_sum) = rest.split_at_mut(lens[4]);
            dk_sum.fill(0.0);
            dv_sum.fill(0.0);
            for head in heads.group(kv_head) {
                for first in (0..pos).step_by(QUERIES) {
                    let block = head_grad.block(head, first..pos.min(first + QUERIES));
                    if dq.is_some() || dk.is_some() || ds.is_some() {
                        block.softmax_grads(squares)?;
                    }
                    if let Some(ds) = &ds {
                        let first = (row * heads.heads + head) * pos;
                        // SAFETY: the rows of these queries of one head of one row belong to one task.
                        let ds = unsafe { ds.take(first + block.queries.start..first + block.queries.end) };
                        block.copy_scores(squares, ds);
                    }
                    if let (Some(cap), true) = (scoring.cap, dq.is_some() || dk.is_some()) {
                        block.cap_grads(cap, capped, squares)?;
                    }
                    if let Some(dq) = &dq {
                        block.query_grads(squares, dq_block)?;
                        for (query, dq_row) in block.queries.clone().zip(dq_block.chunks_exact(width)) {
                            let vector = (row * pos + query) * heads.heads + head;
                            // SAFETY: a vector belongs to one query of one head of one row, so to one task.
                            unsafe { dq.take(vector..vector + 1) }.copy_from_slice(dq_row);
                        }
                    }
                    if dk.is_some() {
                        block.add_key_grads(squares, dk_sum)?;
                    }
                    if dv.is_some() {
                        block.add_value_grads(corner, dv_sum)?;
                    }
                }
            }
            scale_row(ctx.isa, dk_sum, scoring.scale);
            for (out, sum, width) in [(&dk, dk_sum, width), (&dv, dv_sum, value_width)] {
                let Some(out) = out else { continue };
                for (key, sum) in sum.chunks_exact(width).enumerate() {
                    let vector = (row * keys + key) * kv_heads + kv_head;
                    // SAFETY: a vector belongs to one key of one key/value head of one row, so to one task.
                    unsafe { out.take(vector..vector + 1) }.copy_from_slice(sum);
                }
            }
            Ok(())
        });
        done.ok_or(too_large.clone())?
    })
}

per_isa! {
    /// −∞ where the pattern is 0: a key that was masked, whatever stands there.
    fn hide_row(scores: &mut [f32], pattern: &[f32]) {
        for (score, &weight) in scores.iter_mut().zip(pattern) {
            *score = if weight == 0.0 { f32::NEG_INFINITY } else { *score };
        }
    }
}

/// One key/value head of one row.
#[derive(Clone, Copy)]
struct HeadGrad<'a> {
    ctx: &'a Context<'a>,
    heads: Heads,
    value_width: usize,
    from: AttentionGradIn<'a>,
    scoring: Scoring,
    row: usize,
    kv_head: usize,
}

impl<'a> HeadGrad<'a> {
    fn block(self, head: usize, queries: Range<usize>) -> BlockGrad<'a> {
        BlockGrad { of: self, head, keys: self.scoring.reach.of_block(&self.heads, &queries), queries }
    }

    /// The vectors of this key/value head in k or v, from a key on.
    fn keyed(&self, first: usize, data: &'a [f32], width: usize) -> (&'a [f32], usize) {
        let start = ((self.row * self.heads.keys + first) * self.heads.kv_heads + self.kv_head) * width;
        (data.get(start..).unwrap_or_default(), self.heads.kv_heads * width)
    }
}

/// A block of queries of one of its query heads.
struct BlockGrad<'a> {
    of: HeadGrad<'a>,
    head: usize,
    queries: Range<usize>,
    /// Keys that any of these queries reads.
    keys: Range<usize>,
}

impl<'a> BlockGrad<'a> {
    /// The vectors of these queries in q or ct.
    fn queried(&self, data: &'a [f32], width: usize) -> View<'a> {
        let Heads { pos, heads, .. } = self.of.heads;
        let start = ((self.of.row * pos + self.queries.start) * heads + self.head) * width;
        View { data: data.get(start..).unwrap_or_default(), row: heads * width, column: 1 }
    }

    /// Rows of the pattern.
    fn pattern(&self) -> &'a [f32] {
        let Heads { pos, keys, heads, .. } = self.of.heads;
        let first = (self.of.row * heads + self.head) * pos;
        &self.of.from.pattern[(first + self.queries.start) * keys..(first + self.queries.end) * keys]
    }

    /// ds in rows of `keys`, of which the entries at the keys of the block are written.
    fn softmax_grads(&self, squares: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { ctx, heads, value_width, from, scoring: Scoring { reach, .. }, .. } = self.of;
        let (v, step) = self.of.keyed(self.keys.start, from.v, value_width);
        let sizes = Sizes { m: self.queries.len(), n: self.keys.len(), k: value_width };
        let c = RowsMut { data: &mut squares[self.keys.start..], rows: sizes.m, step: heads.keys };
        let b = View { data: v, row: 1, column: step };
        product(ctx, sizes, self.queried(from.ct, value_width), b, c, Zeros::Multiply)?;
        let rows = squares.chunks_exact_mut(heads.keys).zip(self.pattern().chunks_exact(heads.keys));
        for (query, (row, pattern)) in self.queries.clone().zip(rows) {
            let seen = reach.seen(&heads, query);
            row[self.keys.start..seen.start].fill(0.0);
            row[seen.end..self.keys.end].fill(0.0);
            softmax_grad_row(ctx.isa, &mut row[seen.clone()], &pattern[seen.clone()], seen.start);
        }
        Ok(())
    }

    /// What [`Self::softmax_grads`] made, in whole rows.
    fn copy_scores(&self, squares: &[f32], ds: &mut [f32]) {
        let keys = self.of.heads.keys;
        for (ds, row) in ds.chunks_exact_mut(keys).zip(squares.chunks_exact(keys)) {
            ds.fill(0.0);
            ds[self.keys.clone()].copy_from_slice(&row[self.keys.clone()]);
        }
    }

    /// From the cotangents of capped scores to those of the products: the scores are computed and capped once more.
    fn cap_grads(&self, cap: f32, capped: &mut [f32], squares: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { ctx, heads, from, scoring: Scoring { reach, scale, .. }, .. } = self.of;
        let (k, step) = self.of.keyed(self.keys.start, from.k, heads.width);
        let sizes = Sizes { m: self.queries.len(), n: self.keys.len(), k: heads.width };
        let c = RowsMut { data: &mut capped[self.keys.start..], rows: sizes.m, step: heads.keys };
        let b = View { data: k, row: 1, column: step };
        product(ctx, sizes, self.queried(from.q, heads.width), b, c, Zeros::Multiply)?;
        let rows = squares.chunks_exact_mut(heads.keys).zip(capped.chunks_exact_mut(heads.keys));
        for ((query, (row, capped)), pattern) in
            self.queries.clone().zip(rows).zip(self.pattern().chunks_exact(heads.keys))
        {
            let seen = reach.seen(&heads, query);
            let (row, capped, pattern) = (&mut row[seen.clone()], &mut capped[seen.clone()], &pattern[seen]);
            scale_row(ctx.isa, capped, scale);
            hide_row(ctx.isa, capped, pattern);
            cap_row(ctx.isa, capped, cap);
            cap_grad_row(ctx.isa, row, capped, cap);
        }
        Ok(())
    }

    /// dq of the block in rows of `width`.
    fn query_grads(&self, squares: &[f32], dq: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { ctx, heads, from, scoring: Scoring { scale, .. }, .. } = self.of;
        let (k, step) = self.of.keyed(self.keys.start, from.k, heads.width);
        let sizes = Sizes { m: self.queries.len(), n: heads.width, k: self.keys.len() };
        let a = View { data: &squares[self.keys.start..], row: heads.keys, column: 1 };
        let c = RowsMut { data: &mut *dq, rows: sizes.m, step: heads.width };
        product(ctx, sizes, a, View { data: k, row: step, column: 1 }, c, Zeros::Skip)?;
        scale_row(ctx.isa, &mut dq[..sizes.m * heads.width], scale);
        Ok(())
    }

    fn add_key_grads(&self, squares: &[f32], dk: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { ctx, heads, from, .. } = self.of;
        let sizes = Sizes { m: self.keys.len(), n: heads.width, k: self.queries.len() };
        let a = View { data: &squares[self.keys.start..], row: 1, column: heads.keys };
        let c = RowsMut { data: &mut dk[self.keys.start * heads.width..], rows: sizes.m, step: heads.width };
        product_onto(ctx, sizes, a, self.queried(from.q, heads.width), c, Zeros::Skip)
    }

    fn add_value_grads(&self, corner: &mut [f32], dv: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { heads, scoring: Scoring { reach, .. }, .. } = self.of;
        let first = reach.seen(&heads, self.queries.start);
        let last = reach.seen(&heads, self.queries.end - 1);
        // Keys that all these queries read: there the pattern serves as it is. What lies beside them is at most as wide as
        // there are queries; if there are none, all of it is less than twice that.
        let dense = last.start..first.end;
        if dense.is_empty() {
            return self.add_corner(self.keys.clone(), corner, dv);
        }
        self.add_corner(self.keys.start..dense.start, corner, dv)?;
        let pattern = View { data: &self.pattern()[dense.start..], row: 1, column: heads.keys };
        self.add_values(dense.clone(), pattern, dv)?;
        self.add_corner(dense.end..self.keys.end, corner, dv)
    }

    /// Keys that only some of the queries read, whatever the pattern holds for the others.
    fn add_corner(&self, keys: Range<usize>, corner: &mut [f32], dv: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { heads, scoring: Scoring { reach, .. }, .. } = self.of;
        let width = keys.len();
        if width == 0 {
            return Ok(());
        }
        let rows = corner.chunks_exact_mut(width).zip(self.pattern().chunks_exact(heads.keys));
        for (query, (row, pattern)) in self.queries.clone().zip(rows) {
            let seen = reach.seen(&heads, query);
            row.copy_from_slice(&pattern[keys.clone()]);
            row[..seen.start.clamp(keys.start, keys.end) - keys.start].fill(0.0);
            row[seen.end.clamp(keys.start, keys.end) - keys.start..].fill(0.0);
        }
        self.add_values(keys, View { data: corner, row: 1, column: width }, dv)
    }

    fn add_values(&self, keys: Range<usize>, pattern: View<'_>, dv: &mut [f32]) -> Result<(), KernelError> {
        let HeadGrad { ctx, value_width, from, .. } = self.of;
        let sizes = Sizes { m: keys.len(), n: value_width, k: self.queries.len() };
        let c = RowsMut { data: &mut dv[keys.start * value_width..], rows: sizes.m, step: value_width };
        product_onto(ctx, sizes, pattern, self.queried(from.ct, value_width), c, Zeros::Skip)
    }
}
