//! Microkernels: one tile of the output, every element of it one chain of fused multiply-adds over ascending k.

use crate::half::Dtype;
use crate::isa::Isa;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub(crate) const F32: u8 = 0;
pub(crate) const BF16: u8 = 1;
pub(crate) const F16: u8 = 2;

/// No instruction set has a larger tile.
pub(crate) const MAX_ROWS: usize = 12;
pub(crate) const MAX_COLUMNS: usize = 32;

/// The arguments of one tile of `rows` (fixed in the function) times `nr` outputs.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Length of this stretch of the chain.
    pub k: usize,
    /// `[k][rows]` f32.
    pub a: *const f32,
    /// Row i of `nr` stored elements begins at `b + i * b_step` bytes; any alignment.
    pub b: *const u8,
    pub b_step: usize,
    /// Row r of `nr` outputs begins at `c + r * c_step` floats.
    pub c: *mut f32,
    pub c_step: usize,
    /// Whether the chains start from +0.0; otherwise from what stands in C.
    pub first: bool,
    /// Null, or `nr` floats added to each row after the chain.
    pub bias: *const f32,
}

/// Requires: the instruction set it was made for is available; `a`, `b` and `bias` readable and `c` readable (unless
/// `first`) and writable over the extents that [`Tile`] names, with no other thread touching those elements of C.
pub(crate) type TileFn = unsafe fn(Tile);

pub(crate) struct Micro {
    /// Largest tile: rows, and columns.
    pub mr: usize,
    pub nr: usize,
    select: fn(Dtype, usize) -> TileFn,
    select_skipping: fn(usize) -> TileFn,
}

impl Micro {
    /// The kernel for B of `dtype` and 1 ..= `mr` rows.
    pub fn tile(&self, dtype: Dtype, rows: usize) -> TileFn {
        (self.select)(dtype, rows)
    }

    /// As [`Micro::tile`] for f32, but an A that is ±0 leaves its accumulators untouched, whatever stands in B.
    pub fn tile_skipping_zeros(&self, rows: usize) -> TileFn {
        (self.select_skipping)(rows)
    }
}

/// Panics where `isa` is not available: past this point its instructions run unchecked.
pub(crate) fn of(isa: Isa) -> &'static Micro {
    assert!(isa.is_available(), "instruction set {} is not available here", isa.name());
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::MICRO,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::MICRO,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &neon::MICRO,
        _ => &portable::MICRO,
    }
}

/// How many bytes before they are needed to ask for elements of B: tiles of few rows read it from memory, faster than the
/// processor looks ahead by itself, larger ones from L2. Measured on a Zen 5.
pub(crate) const fn ahead(rows: usize, dtype: u8) -> usize {
    match (rows, dtype) {
        (9.., _) | (..=2, F32) => 4096,
        _ => 8192,
    }
}

/// Asks for a cache line that will be needed; any address will do.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE belongs to every x86-64, and a prefetch of an address that is not mapped does nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// `select` and `select_skipping` for a `tile::<ROWS, DTYPE, SKIP>`.
macro_rules! select {
    ($tile:ident, $($rows:literal)+) => {
        pub(crate) fn select(dtype: crate::half::Dtype, rows: usize) -> crate::micro::TileFn {
            use crate::half::Dtype;
            match (dtype, rows) {
                $((Dtype::F32, $rows) => $tile::<$rows, { crate::micro::F32 }, false>,
                (Dtype::Bf16, $rows) => $tile::<$rows, { crate::micro::BF16 }, false>,
                (Dtype::F16, $rows) => $tile::<$rows, { crate::micro::F16 }, false>,)+
                _ => unreachable!("a tile of {rows} rows"),
            }
        }

        pub(crate) fn select_skipping(rows: usize) -> crate::micro::TileFn {
            match rows {
                $($rows => $tile::<$rows, { crate::micro::F32 }, true>,)+
                _ => unreachable!("a tile of {rows} rows"),
            }
        }
    };
}
pub(crate) use select;
