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

per_isa! {
    /// Rows of `width` from `x` to `out`.
    pub(crate) fn softmax_rows(out: &mut [f32], x: &[f32], width: usize) {
        for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let max = row_max(row);
            if max == f32::NEG_INFINITY {
                let nothing = row.iter().all(|x| !x.is_nan());
                out.fill(if nothing { 0.0 } else { f32::NAN });
                continue;
            }
            let mut lanes = [0.0f32; LANES];
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            let (rows, row_rest) = row.as_chunks::<LANES>();
            for (out, row) in outs.iter_mut().zip(rows) {
                for lane in 0..LANES {
                    out[lane] = exp(row[lane] - max);
                    lanes[lane] += out[lane];
                }
            }
            for ((out, x), lane) in out_rest.iter_mut().zip(row_rest).zip(&mut lanes) {
                *out = exp(x - max);
                *lane += *out;
            }
            let total = add_lanes(lanes);
            for out in out.iter_mut() {
                *out /= total;
            }
        }
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
