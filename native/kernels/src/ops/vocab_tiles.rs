//! What is kept of pieces of a row of logits, and how they become statistics of the whole row.

use super::math::{exp, log};
use super::per_isa::per_isa;
use super::softmax::row_max;
use super::tree::{LANES, add_lanes, tree_sum};
use super::vocab_statistics::STATISTICS;

/// What is kept of one tile of the vocabulary: its own maximum and sums relative to that, so that tiles are merged once, in
/// their order, whoever computed them.
#[derive(Clone, Copy, Default)]
pub(super) struct Tile {
    /// The largest logit; 0 where all are −∞, and then `sum` is 0.
    pub max: f32,
    /// Σ exp(l − max)
    pub sum: f32,
    /// Σ exp(l − max)·(l − max)
    pub first: f32,
    /// The same of the reference.
    pub reference_max: f32,
    pub reference_sum: f32,
    /// Σ exp(r − reference max)·((r − reference max) − (l − max))
    pub difference: f32,
}

#[inline(always)]
fn finite_max(row: &[f32]) -> f32 {
    let max = row_max(row);
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

per_isa! {
    /// max, Σ exp(x − max) and Σ exp(x − max)·(x − max), where a weight of 0 reads nothing.
    pub(super) fn sums(row: &[f32]) -> [f32; 3] {
        let max = finite_max(row);
        let (mut sum, mut first) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (chunks, rest) = row.as_chunks::<LANES>();
        let term = |x: f32, sum: &mut f32, first: &mut f32| {
            let below = x - max;
            let weight = exp(below);
            *sum += weight;
            *first = weight.mul_add(if weight == 0.0 { 0.0 } else { below }, *first);
        };
        for chunk in chunks {
            for lane in 0..LANES {
                term(chunk[lane], &mut sum[lane], &mut first[lane]);
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            term(*x, &mut sum[lane], &mut first[lane]);
        }
        [max, add_lanes(sum), add_lanes(first)]
    }
}

per_isa! {
    /// A row r becomes r − max beside exp(r − max), which many rows are held against.
    pub(super) fn below_max(row: &mut [f32], max: f32, weight: &mut [f32]) {
        for (x, weight) in row.iter_mut().zip(weight) {
            *x -= max;
            *weight = exp(*x);
        }
    }
}

per_isa! {
    /// Σ weight·(below − (x − x_max)) of a reference as `below_max` leaves it, where a weight of 0 reads nothing.
    pub(super) fn differences(weight: &[f32], below: &[f32], x: &[f32], x_max: f32) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let (w_chunks, w_rest) = weight.as_chunks::<LANES>();
        let (b_chunks, b_rest) = below.as_chunks::<LANES>();
        let (x_chunks, x_rest) = x.as_chunks::<LANES>();
        let term = |weight: f32, below: f32, x: f32, lane: &mut f32| {
            *lane = weight.mul_add(if weight == 0.0 { 0.0 } else { below - (x - x_max) }, *lane);
        };
        for ((weight, below), x) in w_chunks.iter().zip(b_chunks).zip(x_chunks) {
            for lane in 0..LANES {
                term(weight[lane], below[lane], x[lane], &mut lanes[lane]);
            }
        }
        for (((lane, weight), below), x) in lanes.iter_mut().zip(w_rest).zip(b_rest).zip(x_rest) {
            term(*weight, *below, *x, lane);
        }
        add_lanes(lanes)
    }
}

per_isa! {
    /// How many entries of a row come before `target`, which stands `at` entries behind its start (negative: before it), in the
    /// order of top-k.
    pub(super) fn before(row: &[f32], target: f32, at: isize) -> usize {
        let (ahead, behind) = row.split_at(at.clamp(0, row.len() as isize) as usize);
        // Equal ones count among those ahead; NaN compares with nothing, and comes before every number.
        let (mut count, mut later) = (0u32, 0u32);
        if target.is_nan() {
            for x in ahead {
                count += u32::from(x.is_nan());
            }
        } else {
            for x in ahead {
                count += u32::from(*x >= target) | u32::from(x.is_nan());
            }
            for x in behind {
                later += u32::from(*x > target) | u32::from(x.is_nan());
            }
        }
        count as usize + later as usize
    }
}

/// The weight exp(max − largest) of each tile, and that largest; 0 for a tile of −∞.
fn weights<'a>(tiles: impl Iterator<Item = (f32, f32)> + Clone + 'a) -> (f32, Vec<f32>) {
    let live = |&(_, sum): &(f32, f32)| sum != 0.0;
    let largest =
        tiles.clone().filter(live).fold(f32::NEG_INFINITY, |most, (max, _)| if max > most { max } else { most });
    (largest, tiles.map(|(max, sum)| if sum == 0.0 { 0.0 } else { exp(max - largest) }).collect())
}

/// Σ weight·term by the fixed tree; a weight of 0 reads nothing.
fn weighted(weights: &[f32], term: impl Fn(usize) -> f32) -> f32 {
    let terms: Vec<f32> =
        weights.iter().enumerate().map(|(at, &weight)| if weight == 0.0 { 0.0 } else { weight * term(at) }).collect();
    tree_sum(&terms)
}

/// The statistics of one row from its tiles in the order of the vocabulary.
pub(super) fn merge(tiles: &[Tile], target: Option<(f32, usize)>, against: bool) -> [f32; STATISTICS] {
    let (max, own) = weights(tiles.iter().map(|tile| (tile.max, tile.sum)));
    let sum = weighted(&own, |at| tiles[at].sum);
    let first = weighted(&own, |at| (tiles[at].max - max).mul_add(tiles[at].sum, tiles[at].first));
    let log_sum = log(sum);
    let (log_prob, rank) = target.map_or((f32::NAN, f32::NAN), |(logit, rank)| ((logit - max) - log_sum, rank as f32));
    let divergence = if against {
        let (reference_max, others) = weights(tiles.iter().map(|tile| (tile.reference_max, tile.reference_sum)));
        let total = weighted(&others, |at| tiles[at].reference_sum);
        let difference = weighted(&others, |at| {
            let tile = tiles[at];
            let shift = (tile.reference_max - reference_max) - (tile.max - max);
            shift.mul_add(tile.reference_sum, tile.difference)
        });
        let divergence = difference / total - (log(total) - log_sum);
        // It cannot be below 0 but by rounding.
        if divergence < 0.0 { 0.0 } else { divergence }
    } else {
        f32::NAN
    };
    [max + log_sum, log_sum - first / sum, log_prob, rank, divergence]
}
