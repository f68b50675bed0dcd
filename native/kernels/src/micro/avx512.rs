//! 12 × 32: 24 accumulators, two registers of B, the broadcast of A folded into the multiply-add.

use std::arch::x86_64::*;

use super::{BF16, F16, F32, Micro, Tile, ahead, prefetch};

const NR: usize = 32;

pub(super) const MICRO: Micro = Micro { mr: 12, nr: NR, select, select_skipping };

super::select!(tile, 1 2 3 4 5 6 7 8 9 10 11 12);

/// # Safety
/// AVX-512 F is available and the extents that [`Tile`] names are valid, see [`super::TileFn`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn tile<const ROWS: usize, const DTYPE: u8, const SKIP: bool>(t: Tile) {
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
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
        let next = b.wrapping_add(ahead(ROWS, DTYPE));
        prefetch(next);
        if DTYPE == F32 {
            prefetch(next.wrapping_add(64));
        }
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: r < ROWS, readable as said above.
            let x = unsafe { *a.add(r) };
            if SKIP && x == 0.0 {
                continue;
            }
            let x = _mm512_set1_ps(x);
            row[0] = _mm512_fmadd_ps(x, columns[0], row[0]);
            row[1] = _mm512_fmadd_ps(x, columns[1], row[1]);
        }
        a = a.wrapping_add(ROWS);
        b = b.wrapping_add(t.b_step);
    }
    if !t.bias.is_null() {
        // SAFETY: a bias that is not null holds NR floats.
        let bias = unsafe { load::<F32>(t.bias.cast()) };
        for row in &mut acc {
            *row = [_mm512_add_ps(row[0], bias[0]), _mm512_add_ps(row[1], bias[1])];
        }
    }
    for (r, row) in acc.iter().enumerate() {
        // SAFETY: row r of C holds NR floats, by the contract of the caller.
        unsafe {
            let c = t.c.add(r * t.c_step);
            _mm512_storeu_ps(c, row[0]);
            _mm512_storeu_ps(c.add(16), row[1]);
        }
    }
}

/// # Safety
/// NR elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn load<const DTYPE: u8>(b: *const u8) -> [__m512; 2] {
    let half = if DTYPE == F32 { 64 } else { 32 };
    // SAFETY: the two halves are NR elements together, readable by the contract of the caller.
    unsafe { [load_half::<DTYPE>(b), load_half::<DTYPE>(b.add(half))] }
}

/// # Safety
/// 16 elements of DTYPE are readable at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn load_half<const DTYPE: u8>(b: *const u8) -> __m512 {
    if DTYPE == F32 {
        // SAFETY: 64 bytes are readable, by the contract of the caller; the load needs no alignment.
        return unsafe { _mm512_loadu_ps(b.cast()) };
    }
    // SAFETY: 32 bytes are readable, by the contract of the caller; the load needs no alignment.
    let bits = unsafe { _mm256_loadu_si256(b.cast()) };
    match DTYPE {
        BF16 => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits))),
        F16 => _mm512_cvtph_ps(bits),
        _ => unreachable!(),
    }
}
