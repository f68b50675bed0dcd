//! 6 × 16: 12 accumulators, two registers of B, one broadcast of A; a larger tile would spill.

use std::arch::x86_64::*;

use super::{BF16, F16, F32, Micro, Tile, ahead, prefetch};

const NR: usize = 16;

pub(super) const MICRO: Micro = Micro { mr: 6, nr: NR, select, select_skipping };

super::select!(tile, 1 2 3 4 5 6);

/// # Safety
/// AVX2, FMA and F16C are available and the extents that [`Tile`] names are valid, see [`super::TileFn`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<const ROWS: usize, const DTYPE: u8, const SKIP: bool>(t: Tile) {
    let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
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
        prefetch(b.wrapping_add(ahead(ROWS, DTYPE)));
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: r < ROWS, readable as said above.
            let x = unsafe { *a.add(r) };
            if SKIP && x == 0.0 {
                continue;
            }
            let x = _mm256_set1_ps(x);
            row[0] = _mm256_fmadd_ps(x, columns[0], row[0]);
            row[1] = _mm256_fmadd_ps(x, columns[1], row[1]);
        }
        a = a.wrapping_add(ROWS);
        b = b.wrapping_add(t.b_step);
    }
    if !t.bias.is_null() {
        // SAFETY: a bias that is not null holds NR floats.
        let bias = unsafe { load::<F32>(t.bias.cast()) };
        for row in &mut acc {
            *row = [_mm256_add_ps(row[0], bias[0]), _mm256_add_ps(row[1], bias[1])];
        }
    }
    for (r, row) in acc.iter().enumerate() {
        // SAFETY: row r of C holds NR floats, by the contract of the caller.
        unsafe {
            let c = t.c.add(r * t.c_step);
            _mm256_storeu_ps(c, row[0]);
            _mm256_storeu_ps(c.add(8), row[1]);
        }
    }
}

/// # Safety
/// NR elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<const DTYPE: u8>(b: *const u8) -> [__m256; 2] {
    let half = if DTYPE == F32 { 32 } else { 16 };
    // SAFETY: the two halves are NR elements together, readable by the contract of the caller.
    unsafe { [load_half::<DTYPE>(b), load_half::<DTYPE>(b.add(half))] }
}

/// # Safety
/// 8 elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load_half<const DTYPE: u8>(b: *const u8) -> __m256 {
    if DTYPE == F32 {
        // SAFETY: 32 bytes are readable, by the contract of the caller; the load needs no alignment.
        return unsafe { _mm256_loadu_ps(b.cast()) };
    }
    // SAFETY: 16 bytes are readable, by the contract of the caller; the load needs no alignment.
    let bits = unsafe { _mm_loadu_si128(b.cast()) };
    match DTYPE {
        BF16 => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits))),
        F16 => _mm256_cvtph_ps(bits),
        _ => unreachable!(),
    }
}
