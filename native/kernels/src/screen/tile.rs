//! Sums of products in few bits: 12 rows by 32 columns at most. Int8 sums are exact; those of bf16 are bounded, and their
//! bits may differ between processors, since only a bound is drawn from them.

use super::Bits;
use crate::isa::Isa;

pub(crate) const ROWS: usize = 12;
pub(crate) const COLUMNS: usize = 32;

/// `out[r][c]` = Σ over the words of a `[words][rows]` with b `[words][COLUMNS]`: f32 bits for bf16, for int8 an i32, with a
/// unsigned and b signed.
pub(crate) fn tile(isa: Isa, bits: Bits, a: &[u32], rows: usize, b: &[u32], out: &mut [u32], step: usize) {
    let words = b.len() / COLUMNS;
    assert!((1..=ROWS).contains(&rows) && a.len() == words * rows && step >= COLUMNS);
    assert!(out.len() >= (rows - 1) * step + COLUMNS, "a tile outside its output");
    #[cfg(target_arch = "x86_64")]
    if bits.is_fast(isa) {
        // SAFETY: the processor has the instructions, and the assertions hold the extents.
        return unsafe { x86::tile(bits, words, a.as_ptr(), rows, b.as_ptr(), out.as_mut_ptr(), step) };
    }
    let _ = isa;
    for (r, out) in out.chunks_mut(step).enumerate().take(rows) {
        for (c, out) in out.iter_mut().enumerate().take(COLUMNS) {
            let pairs = a.iter().skip(r).step_by(rows).zip(b.iter().skip(c).step_by(COLUMNS)).take(words);
            *out = match bits {
                Bits::Bf16 => pairs.fold(0f32, |sum, (a, b)| pair(*a, *b, sum)).to_bits(),
                Bits::Int8 => pairs.fold(0i32, |sum, (a, b)| sum.wrapping_add(four(*a, *b))) as u32,
            };
        }
    }
}

fn pair(a: u32, b: u32, sum: f32) -> f32 {
    let high = |word: u32| f32::from_bits(word & 0xffff_0000);
    let low = |word: u32| f32::from_bits(word << 16);
    low(a).mul_add(low(b), high(a).mul_add(high(b), sum))
}

fn four(a: u32, b: u32) -> i32 {
    a.to_le_bytes().iter().zip(b.to_le_bytes()).map(|(&a, b)| i32::from(a) * i32::from(b as i8)).sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Bits, COLUMNS};
    use crate::micro::prefetch;

    /// # Safety
    /// The processor has AVX-512 with BF16 or VNNI, as `bits` needs; a holds words × rows, b words × COLUMNS words, and
    /// `out` has `rows` rows of COLUMNS words, `step` apart.
    pub(super) unsafe fn tile(
        bits: Bits,
        words: usize,
        a: *const u32,
        rows: usize,
        b: *const u32,
        out: *mut u32,
        step: usize,
    ) {
        macro_rules! by_rows {
            ($($rows:literal)+) => {
                match (bits, rows) {
                    // SAFETY: what the caller promises.
                    $((Bits::Bf16, $rows) => unsafe { bf16::<$rows>(words, a, b, out, step) },
                    // SAFETY: as above.
                    (Bits::Int8, $rows) => unsafe { int8::<$rows>(words, a, b, out, step) },)+
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        by_rows!(1 2 3 4 5 6 7 8 9 10 11 12)
    }

    /// Bytes of B to ask for before they are needed.
    const AHEAD: usize = 4096;

    macro_rules! kernel {
        ($name:ident, $features:literal, $zero:expr, $load:expr, $splat:expr, $dot:ident, $store:expr) => {
            /// # Safety
            /// As [`tile`].
            #[target_feature(enable = $features)]
            unsafe fn $name<const ROWS: usize>(words: usize, a: *const u32, b: *const u32, out: *mut u32, step: usize) {
                let mut sums = [[$zero; 2]; ROWS];
                let (mut a, mut b) = (a, b);
                for _ in 0..words {
                    prefetch(b.wrapping_byte_add(AHEAD));
                    prefetch(b.wrapping_byte_add(AHEAD + 64));
                    // SAFETY: fewer than `words` steps were taken, so ROWS words of A and COLUMNS of B are readable.
                    let columns = unsafe { [$load(b), $load(b.add(COLUMNS / 2))] };
                    for (r, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: r < ROWS, readable as said above.
                        let x = $splat(unsafe { *a.add(r) });
                        *sums = [$dot(sums[0], x, columns[0]), $dot(sums[1], x, columns[1])];
                    }
                    a = a.wrapping_add(ROWS);
                    b = b.wrapping_add(COLUMNS);
                }
                for (r, sums) in sums.iter().enumerate() {
                    // SAFETY: row r of the output has COLUMNS words.
                    unsafe {
                        let out = out.add(r * step);
                        $store(out, sums[0]);
                        $store(out.add(COLUMNS / 2), sums[1]);
                    }
                }
            }
        };
    }

    kernel!(
        int8,
        "avx512f,avx512vnni,avx2,fma",
        _mm512_setzero_si512(),
        |b: *const u32| _mm512_loadu_si512(b.cast()),
        |x: u32| _mm512_set1_epi32(x as i32),
        _mm512_dpbusd_epi32,
        |out: *mut u32, sum| _mm512_storeu_si512(out.cast(), sum)
    );
    kernel!(
        bf16,
        "avx512f,avx512bf16,avx2,fma",
        _mm512_setzero_ps(),
        |b: *const u32| pairs(_mm512_loadu_si512(b.cast())),
        |x: u32| pairs(_mm512_set1_epi32(x as i32)),
        _mm512_dpbf16_ps,
        |out: *mut u32, sum| _mm512_storeu_ps(out.cast(), sum)
    );

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn pairs(words: __m512i) -> __m512bh {
        // SAFETY: both are 64 bytes, and any bits are bf16.
        unsafe { std::mem::transmute::<__m512i, __m512bh>(words) }
    }
}
