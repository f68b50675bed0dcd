//! 6 × 16: 24 accumulators, four registers of B, one broadcast of A.

use std::arch::aarch64::*;

use super::{BF16, F16, F32, Micro, Tile};

const NR: usize = 16;

pub(super) const MICRO: Micro = Micro { mr: 6, nr: NR, select, select_skipping };

super::select!(tile, 1 2 3 4 5 6);

/// # Safety
/// NEON is available and the extents that [`Tile`] names are valid, see [`super::TileFn`].
#[target_feature(enable = "neon")]
unsafe fn tile<const ROWS: usize, const DTYPE: u8, const SKIP: bool>(t: Tile) {
    let mut acc = [[vdupq_n_f32(0.0); 4]; ROWS];
    if !t.first {
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: row r of C holds NR floats, by the contract of the caller.
            *row = unsafe { load::<F32>(t.c.add(r * t.c_step).cast()) };
        }
    }
    let (mut a, mut b) = (t.a, t.b);
    for _ in 0..t.k {
        // SAFETY: fewer than t.k steps were taken, so ROWS floats of A and NR elements of B are readable here; the
        // pointers move past the end only as wrapping arithmetic.
        let columns = unsafe { load::<DTYPE>(b) };
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: r < ROWS, readable as said above.
            let x = unsafe { *a.add(r) };
            if SKIP && x == 0.0 {
                continue;
            }
            let x = vdupq_n_f32(x);
            for (sum, column) in row.iter_mut().zip(columns) {
                *sum = vfmaq_f32(*sum, column, x);
            }
        }
        a = a.wrapping_add(ROWS);
        b = b.wrapping_add(t.b_step);
    }
    if !t.bias.is_null() {
        // SAFETY: a bias that is not null holds NR floats.
        let bias = unsafe { load::<F32>(t.bias.cast()) };
        for row in &mut acc {
            for (sum, bias) in row.iter_mut().zip(bias) {
                *sum = vaddq_f32(*sum, bias);
            }
        }
    }
    for (r, row) in acc.iter().enumerate() {
        for (i, sum) in row.iter().enumerate() {
            // SAFETY: row r of C holds NR floats, by the contract of the caller.
            unsafe { vst1q_f32(t.c.add(r * t.c_step + 4 * i), *sum) };
        }
    }
}

/// # Safety
/// NR elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<const DTYPE: u8>(b: *const u8) -> [float32x4_t; 4] {
    let step = if DTYPE == F32 { 16 } else { 8 };
    // SAFETY: the four quarters are NR elements together, readable by the contract of the caller.
    unsafe {
        [
            load_quarter::<DTYPE>(b),
            load_quarter::<DTYPE>(b.add(step)),
            load_quarter::<DTYPE>(b.add(2 * step)),
            load_quarter::<DTYPE>(b.add(3 * step)),
        ]
    }
}

/// # Safety
/// Four elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_quarter<const DTYPE: u8>(b: *const u8) -> float32x4_t {
    if DTYPE == F32 {
        // SAFETY: 16 bytes are readable, by the contract of the caller; a load of bytes needs no alignment.
        return vreinterpretq_f32_u8(unsafe { vld1q_u8(b) });
    }
    // SAFETY: 8 bytes are readable, by the contract of the caller; a load of bytes needs no alignment.
    let bits = vmovl_u16(vreinterpret_u16_u8(unsafe { vld1_u8(b) }));
    match DTYPE {
        BF16 => vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits)),
        // As `half::F16::to_f32`: the fields read as f32 are too small by 2^112; infinity and NaN keep all exponent bits.
        F16 => {
            let magnitude = vandq_u32(bits, vdupq_n_u32(0x7fff));
            let shifted = vshlq_n_u32::<13>(magnitude);
            let finite = vmulq_f32(vreinterpretq_f32_u32(shifted), vdupq_n_f32(f32::from_bits((112 + 127) << 23)));
            let special = vorrq_u32(shifted, vdupq_n_u32(0x7f80_0000));
            let is_special = vcgeq_u32(magnitude, vdupq_n_u32(0x7c00));
            let wide = vbslq_u32(is_special, special, vreinterpretq_u32_f32(finite));
            let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
            vreinterpretq_f32_u32(vorrq_u32(wide, sign))
        }
        _ => unreachable!(),
    }
}
