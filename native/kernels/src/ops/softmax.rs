use std::ops::Range;

use super::divide::{Divisor, Smallest};
use super::math::exp;
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::{LANES, add_lanes};
use crate::error::KernelError;
use crate::gemm::Context;

/// The largest entry; NaN is passed over, and −∞ is the maximum of nothing.
#[inline(always)]
pub(crate) fn row_max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    let max = |max: f32, &x: &f32| if x > max { x } else { max };
    rest.iter().fold(lanes.iter().fold(f32::NEG_INFINITY, max), max)
}

/// A part of one row that begins with entry `first` of it, all outside being −∞.
#[inline(always)]
fn one_row(out: &mut [f32], row: &[f32], first: usize) {
    let max = row_max(row);
    if max == f32::NEG_INFINITY {
        let nothing = row.iter().all(|x| !x.is_nan());
        out.fill(if nothing { 0.0 } else { f32::NAN });
        return;
    }
    let mut lanes = [0.0f32; LANES];
    let mut smallest = Smallest::NONE;
    // Up to the next whole round of lanes.
    let head = ((LANES - first % LANES) % LANES).min(row.len());
    for (lane, (out, x)) in out.iter_mut().zip(&row[..head]).enumerate() {
        *out = exp(x - max);
        lanes[first % LANES + lane] = *out;
        smallest.see(lane, *out);
    }
    let (outs, out_rest) = out[head..].as_chunks_mut::<LANES>();
    let (rows, row_rest) = row[head..].as_chunks::<LANES>();
    for (out, row) in outs.iter_mut().zip(rows) {
        for lane in 0..LANES {
            out[lane] = exp(row[lane] - max);
            lanes[lane] += out[lane];
            smallest.see(lane, out[lane]);
        }
    }
    for (at, (out, x)) in out_rest.iter_mut().zip(row_rest).enumerate() {
        *out = exp(x - max);
        lanes[at] += *out;
        smallest.see(at, *out);
    }
    let total = add_lanes(lanes);
    // No entry is more than 1.
    if let (Some(divisor), true) = (Divisor::new(total), smallest.is_large_enough()) {
        for out in out.iter_mut() {
            *out = divisor.divide(*out);
        }
    } else {
        for out in out.iter_mut() {
            *out /= total;
        }
    }
}

per_isa! {
    /// Rows of `width` from `x` to `out`.
    pub(crate) fn softmax_rows(out: &mut [f32], x: &[f32], width: usize) {
        for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            one_row(out, row, 0);
        }
    }
}

per_isa! {
    /// A whole row of which only the entries `seen` are not −∞: the bits of [`softmax_rows`], since what is added for the others
    /// is 0.
    pub(crate) fn softmax_seen(out: &mut [f32], x: &[f32], seen: Range<usize>) {
        one_row(&mut out[seen.clone()], &x[seen.clone()], seen.start);
        // NaN fills the whole row, as it does where nothing is left out.
        let beside = if out[seen.clone()].first().is_some_and(|weight| weight.is_nan()) { f32::NAN } else { 0.0 };
        out[..seen.start].fill(beside);
        out[seen.end..].fill(beside);
    }
}

/// exp(x − max) / Σ exp(x − max) in rows of `width`; the sum by the fixed tree, then a division. A row that is all −∞ (a
/// query whose every key is masked) gives zeros: it reads nothing. A row with NaN or +∞ gives NaN throughout.
/// Bounded: (⌈n/32⌉ + 16)·u·p(1 + |x − max|), and 2^-126 absolute.
pub fn softmax(ctx: &Context<'_>, x: &[f32], width: usize, out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("x of softmax", x.len(), &[out.len()])?;
    let rows = row_count("x of softmax", x.len(), width)?;
    fill_rows(ctx, rows, 16 * width, [(out, width)], &|rows, [out]| {
        softmax_rows(ctx.isa, out, &x[rows.start * width..rows.end * width], width);
    })
}
