//! Sums and dots that must not depend on the width of a vector unit: 32 virtual lanes, lane i taking the entries i, i + 32,
//! … one after the other, then lanes added pairwise at distances 16, 8, 4, 2, 1.
//! Error: (⌈n/32⌉ + 5)·u·Σ|terms| (Higham 2002, §4.2).

pub(crate) const LANES: usize = 32;

#[inline(always)]
pub(crate) fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
pub(crate) fn tree_sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    add_lanes(lanes)
}

/// Σ a[i]·b[i], each lane a chain of fused multiply-adds. Both have the same length.
#[inline(always)]
pub(crate) fn tree_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = a.mul_add(*b, *lane);
    }
    add_lanes(lanes)
}

/// Σ (x[i] − mean)², each lane a chain of fused squares.
#[inline(always)]
pub(crate) fn tree_squares(x: &[f32], mean: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let centred = chunk[lane] - mean;
            lanes[lane] = centred.mul_add(centred, lanes[lane]);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        let centred = value - mean;
        *lane = centred.mul_add(centred, *lane);
    }
    add_lanes(lanes)
}
