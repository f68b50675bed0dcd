//! Rows of a matrix turned into columns: how an operand with adjacent columns becomes one that a tile reads step by step.

use crate::isa::Isa;

/// Copies `count` rows of `k` adjacent floats, `step` apart and the first at `a[0]`, to `out` = `[k][count]`. Only moves bits;
/// the instruction set decides nothing but the time.
pub(crate) fn transpose(isa: Isa, a: &[f32], step: usize, [count, k]: [usize; 2], out: &mut [f32]) {
    if count == 0 || k == 0 {
        return;
    }
    let reach = step.checked_mul(count - 1).and_then(|last| last.checked_add(k));
    assert!(reach.is_some_and(|reach| reach <= a.len()) && out.len() >= k * count, "rows outside their matrix");
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    let rows = |first: usize| &a[first * step..];
    let mut row = 0;
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) {
        while row + 8 <= count {
            // SAFETY: AVX2 belongs to both instruction sets, which the assertion found available; rows row .. row + 8 and
            // the whole of `out` lie inside their slices.
            unsafe { eight(rows(row).as_ptr(), step, k, out.as_mut_ptr().add(row), count) };
            row += 8;
        }
    }
    while row + 4 <= count {
        four(rows(row), step, k, &mut out[row..], count);
        row += 4;
    }
    if row == count {
        return;
    }
    if count >= 4 {
        // The last rows once more, together with some that are there already: faster than one by one.
        return four(rows(count - 4), step, k, &mut out[count - 4..], count);
    }
    for row in row..count {
        for (out, x) in out[row..].iter_mut().step_by(count).zip(&rows(row)[..k]) {
            *out = *x;
        }
    }
}

/// Four rows, in squares of four by four that the compiler turns into shuffles.
fn four(a: &[f32], step: usize, k: usize, out: &mut [f32], count: usize) {
    let line = |row: usize| &a[row * step..][..k];
    let (squares, rest) = line(0).as_chunks::<4>();
    let lines = [1, 2, 3].map(line);
    let mut to = 0;
    for (i, first) in squares.iter().enumerate() {
        let [second, third, fourth] = lines.map(|line| line[4 * i..4 * i + 4].as_array::<4>().unwrap());
        for (j, column) in square([*first, *second, *third, *fourth]).iter().enumerate() {
            out[to + j * count..to + j * count + 4].copy_from_slice(column);
        }
        to += 4 * count;
    }
    for (i, first) in rest.iter().enumerate() {
        let i = 4 * squares.len() + i;
        out[i * count..i * count + 4].copy_from_slice(&[*first, lines[0][i], lines[1][i], lines[2][i]]);
    }
}

#[inline(always)]
fn square(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
}

/// Eight rows, four columns at a time: rows i and i + 4 share a register, so that a square of four by four in each half makes
/// whole columns.
///
/// # Safety
/// AVX2 is available; rows of `k` floats at `a + r * step`, r < 8, are readable; 8 floats at `out + i * count`, i < k, are
/// writable and elsewhere.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn eight(a: *const f32, step: usize, k: usize, out: *mut f32, count: usize) {
    use std::arch::x86_64::*;
    let whole = k / 4 * 4;
    for i in (0..whole).step_by(4) {
        // SAFETY: columns i .. i + 4 are below k and rows below 8, so these floats are readable and those writable, by the
        // contract of the caller; no access needs alignment.
        unsafe {
            let pair = |r: usize| {
                let low = _mm_loadu_ps(a.add(r * step + i));
                let high = _mm_loadu_ps(a.add((r + 4) * step + i));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
            };
            let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
            let (low01, high01) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (low23, high23) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            _mm256_storeu_ps(out.add(i * count), _mm256_shuffle_ps::<0x44>(low01, low23));
            _mm256_storeu_ps(out.add((i + 1) * count), _mm256_shuffle_ps::<0xee>(low01, low23));
            _mm256_storeu_ps(out.add((i + 2) * count), _mm256_shuffle_ps::<0x44>(high01, high23));
            _mm256_storeu_ps(out.add((i + 3) * count), _mm256_shuffle_ps::<0xee>(high01, high23));
        }
    }
    for i in whole..k {
        for r in 0..8 {
            // SAFETY: column i is below k and row r below 8, as above.
            unsafe { *out.add(i * count + r) = *a.add(r * step + i) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_transposed_on_every_instruction_set() {
        let a: Vec<f32> = (0..40 * 50).map(|i| i as f32).collect();
        for isa in Isa::available() {
            for count in 0..34 {
                for k in [0, 1, 3, 4, 5, 8, 31, 32, 33, 50] {
                    let mut out = vec![-1.0; k * count + 3];
                    transpose(isa, &a, 50, [count, k], &mut out);
                    for (at, x) in out.iter().enumerate() {
                        let wish = if at < k * count { a[at % count * 50 + at / count] } else { -1.0 };
                        assert_eq!(*x, wish, "{isa:?} {count} {k} {at}");
                    }
                }
            }
        }
    }
}
