//! No intrinsics: the oracle of the other paths and the path of processors without them.

use super::{BF16, F16 as HALF, F32, Micro, Tile};
use crate::half::{Bf16, F16};

const NR: usize = 16;

pub(super) const MICRO: Micro = Micro { mr: 4, nr: NR, select, select_skipping };

super::select!(tile, 1 2 3 4);

/// # Safety
/// The extents that [`Tile`] names are valid, see [`super::TileFn`].
unsafe fn tile<const ROWS: usize, const DTYPE: u8, const SKIP: bool>(t: Tile) {
    let mut acc = [[0f32; NR]; ROWS];
    if !t.first {
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: row r of C holds NR floats, by the contract of the caller.
            *row = unsafe { t.c.add(r * t.c_step).cast::<[f32; NR]>().read() };
        }
    }
    for k in 0..t.k {
        // SAFETY: k < t.k, so row k of A (ROWS floats) and of B (NR elements) is readable.
        let (a, b) = unsafe { (t.a.add(k * ROWS).cast::<[f32; ROWS]>().read(), load::<DTYPE>(t.b.add(k * t.b_step))) };
        for (row, a) in acc.iter_mut().zip(a) {
            if SKIP && a == 0.0 {
                continue;
            }
            for (sum, b) in row.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    for (r, row) in acc.iter_mut().enumerate() {
        if !t.bias.is_null() {
            // SAFETY: a bias that is not null holds NR floats.
            let bias = unsafe { t.bias.cast::<[f32; NR]>().read() };
            for (sum, bias) in row.iter_mut().zip(bias) {
                *sum += bias;
            }
        }
        // SAFETY: row r of C holds NR floats, by the contract of the caller.
        unsafe { t.c.add(r * t.c_step).cast::<[f32; NR]>().write(*row) };
    }
}

/// # Safety
/// NR elements of DTYPE are readable at `b`.
#[inline(always)]
unsafe fn load<const DTYPE: u8>(b: *const u8) -> [f32; NR] {
    match DTYPE {
        // SAFETY: NR floats are readable, by the contract of the caller.
        F32 => unsafe { b.cast::<[f32; NR]>().read_unaligned() },
        // SAFETY: NR 16-bit elements are readable, by the contract of the caller.
        BF16 => unsafe { b.cast::<[u16; NR]>().read_unaligned() }.map(|bits| Bf16(bits).to_f32()),
        // SAFETY: NR 16-bit elements are readable, by the contract of the caller.
        HALF => unsafe { b.cast::<[u16; NR]>().read_unaligned() }.map(|bits| F16(bits).to_f32()),
        _ => unreachable!(),
    }
}
