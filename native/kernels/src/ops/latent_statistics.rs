use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::bias_act_top_k::{Activation, LATENTS, TOKENS, Wanted, hide_inactive};
use super::split::{expect_len, try_tasks};
use super::top_k::for_hits;
use crate::error::KernelError;
use crate::gemm::{Context, PACKED_FLOATS, PackedRows, Rows, RowsMut, with_packed_rows};
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// The exponents of two at which bins of the histogram begin; one more bin lies before the first.
const EXPONENTS: Range<i32> = -12..12;
/// Bins of the histogram of a latent.
const BINS: usize = 25;
/// A latent's counts: how often it is active, then its histogram.
pub const LATENT_COUNTS: usize = 1 + BINS;

/// Statistics of F latents, of which `values` and `rows` hold the first examples, [F, examples].
#[derive(Debug)]
pub struct LatentStatistics<'a> {
    /// Sum and sum of squares, [F, 2].
    pub sums: &'a mut [f64],
    /// [F, [`LATENT_COUNTS`]]
    pub counts: &'a mut [i32],
    pub values: &'a mut [f32],
    /// Numbers of tokens; −1 where there are fewer.
    pub rows: &'a mut [i32],
}

/// Reads each token x [tokens, K] through a dictionary W [K, F] and keeps of each latent what its active values were: their
/// sums, which go on from `before`, their number, their histogram by powers of two, and the first `examples` of them, value
/// descending, NaN first, ties by token. Tokens whose `counted` is 0 do not count. No value outlives the tile that it was
/// made in. Sums are float64 chains over the tokens, whatever is computed beside them. Values have the bits of linear;
/// the rest is exact given the values.
#[allow(clippy::too_many_arguments)]
pub fn latent_statistics(
    ctx: &Context<'_>,
    x: &[f32],
    counted: &[i32],
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    activation: Activation<'_>,
    examples: usize,
    before: Option<&[f64]>,
    to: LatentStatistics<'_>,
) -> Result<(), KernelError> {
    let (width, tokens, latents) = (w.k(), counted.len(), w.n());
    let wanted = Wanted { bias, activation, k: 0 };
    wanted.check_dictionary(latents)?;
    if i32::try_from(tokens).is_err() {
        return Err(KernelError::TooLarge { what: "batch of latent statistics" });
    }
    expect_len("x of a projection", x.len(), &[tokens, width])?;
    expect_len("sums of latent statistics", to.sums.len(), &[latents, 2])?;
    expect_len("earlier sums of latent statistics", before.map_or(to.sums.len(), <[f64]>::len), &[latents, 2])?;
    expect_len("counts of latent statistics", to.counts.len(), &[latents, LATENT_COUNTS])?;
    expect_len("examples of latent statistics", to.values.len(), &[latents, examples])?;
    expect_len("rows of latent statistics", to.rows.len(), &[latents, examples])?;
    match before {
        Some(before) => to.sums.copy_from_slice(before),
        None => to.sums.fill(0.0),
    }
    to.counts.fill(0);
    to.values.fill(0.0);
    to.rows.fill(-1);
    let ranges = if ctx.threads > 1 { 4 * ctx.threads } else { 1 };
    let per_range = latents.div_ceil(LATENTS).div_ceil(ranges).max(1) * LATENTS;
    // Each task has latents of its own, and takes the tokens in their order.
    let mut parts: Vec<Mutex<Part<'_>>> = Vec::new();
    let LatentStatistics { mut sums, mut counts, mut values, mut rows } = to;
    for first in (0..latents).step_by(per_range) {
        let count = per_range.min(latents - first);
        let (own, rest) = sums.split_at_mut(2 * count);
        sums = rest;
        let (own_counts, rest) = counts.split_at_mut(LATENT_COUNTS * count);
        counts = rest;
        let (own_values, rest) = values.split_at_mut(examples * count);
        values = rest;
        let (own_rows, rest) = rows.split_at_mut(examples * count);
        rows = rest;
        let statistics = LatentStatistics { sums: own, counts: own_counts, values: own_values, rows: own_rows };
        parts.push(Mutex::new(Part { latents: first..first + count, examples, statistics }));
    }
    let at_once = (PACKED_FLOATS / width.max(1)).max(TOKENS);
    for first in (0..tokens).step_by(at_once) {
        let rows = first..tokens.min(first + at_once);
        let a = Rows { data: &x[rows.start * width..rows.end * width], rows: rows.len(), step: width };
        with_packed_rows(ctx, a, width, |a| {
            try_tasks(ctx, parts.len(), &|task| {
                let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
                part.count(ctx, &a, w, wanted, first, counted)
            })
        })??;
    }
    ctx.result()
}

/// Some latents, and what is known of them so far.
struct Part<'a> {
    latents: Range<usize>,
    examples: usize,
    statistics: LatentStatistics<'a>,
}

impl Part<'_> {
    /// Counts the rows that are packed together, the first of which is token `first_token`.
    fn count(
        &mut self,
        ctx: &Context<'_>,
        a: &PackedRows<'_>,
        w: &PackedMatrix,
        wanted: Wanted<'_>,
        first_token: usize,
        counted: &[i32],
    ) -> Result<(), KernelError> {
        let per_group = a.blocks.count.div_ceil(a.blocks.rows.div_ceil(TOKENS).max(1)).max(1);
        let lowest = wanted.lowest();
        for first in self.latents.clone().step_by(LATENTS) {
            let piece = first..self.latents.end.min(first + LATENTS);
            let bias = wanted.bias.map(|bias| &bias[piece.clone()]);
            for block in (0..a.blocks.count).step_by(per_group) {
                let blocks = block..a.blocks.count.min(block + per_group);
                let first_row = a.blocks.range(blocks.start).start;
                let rows = a.blocks.range(blocks.end - 1).end - first_row;
                let done = with_scratch(rows * LATENTS, |values| {
                    let c = RowsMut { data: &mut *values, rows, step: LATENTS };
                    a.times(ctx, blocks.clone(), w, piece.clone(), bias, c)?;
                    for (row, values) in values.chunks_exact_mut(LATENTS).enumerate() {
                        let token = first_token + first_row + row;
                        if counted[token] == 0 {
                            continue;
                        }
                        let values = &mut values[..piece.len()];
                        if let Activation::Threshold(thresholds) = wanted.activation {
                            hide_inactive(ctx.isa, values, &thresholds[piece.clone()]);
                        }
                        for_hits(ctx.isa, values, lowest, &mut |at, value| {
                            if value.partial_cmp(&lowest) != Some(Ordering::Less) {
                                self.add(first - self.latents.start + at, value, token as i32);
                            }
                            lowest
                        });
                    }
                    Ok(())
                });
                done.ok_or(KernelError::TooLarge { what: "piece of latent statistics" })??;
            }
        }
        Ok(())
    }

    fn add(&mut self, latent: usize, value: f32, token: i32) {
        let LatentStatistics { sums, counts, values, rows } = &mut self.statistics;
        let wide = f64::from(value);
        sums[2 * latent] += wide;
        sums[2 * latent + 1] += wide * wide;
        counts[LATENT_COUNTS * latent] += 1;
        counts[LATENT_COUNTS * latent + 1 + bin(value)] += 1;
        let own = latent * self.examples..(latent + 1) * self.examples;
        let (values, rows) = (&mut values[own.clone()], &mut rows[own]);
        // From the end: most come after all that are kept, and of equals the earlier stays before.
        let mut at = self.examples;
        while at > 0 && (rows[at - 1] < 0 || comes_before(value, values[at - 1])) {
            at -= 1;
        }
        if at < self.examples {
            values.copy_within(at..self.examples - 1, at + 1);
            rows.copy_within(at..self.examples - 1, at + 1);
            (values[at], rows[at]) = (value, token);
        }
    }
}

/// Larger, or the first NaN.
fn comes_before(value: f32, other: f32) -> bool {
    value > other || (value.is_nan() && !other.is_nan())
}

/// By the exponent: no logarithm, so the bin of a power of two is the one that begins there. NaN lies in the last.
fn bin(value: f32) -> usize {
    let least = f32::from_bits(((127 + EXPONENTS.start) as u32) << 23);
    if value < least {
        return 0;
    }
    let exponent = ((value.to_bits() >> 23) & 0xff) as i32 - 127;
    ((exponent - EXPONENTS.start + 1) as usize).min(BINS - 1)
}
