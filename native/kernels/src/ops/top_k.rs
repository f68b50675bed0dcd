use super::split::{Rows, expect_len, for_rows};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::isa::Isa;

/// The place of an entry in the order of every top-k: value descending, NaN before all numbers, −0 equal to +0, ties by
/// index ascending. A larger key comes first; no two entries of a row share one, so the result depends on nothing but
/// the values. The last bit, below the 31 of the index, tells −0 from +0.
#[inline(always)]
fn key(value: f32, index: u32) -> u64 {
    let bits = value.to_bits();
    let ascending = if value == 0.0 {
        1 << 31
    } else if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    let negative_zero = u64::from(bits == 1 << 31);
    u64::from(if value.is_nan() { u32::MAX } else { ascending }) << 32 | u64::from(!index << 1) | negative_zero
}

/// The index of an entry and its value, of a NaN any NaN.
#[inline(always)]
fn entry(key: u64) -> (usize, f32) {
    let (ascending, low) = ((key >> 32) as u32, key as u32);
    let bits = match ascending {
        u32::MAX => f32::NAN.to_bits(),
        0x8000_0000 => low << 31,
        _ if ascending >> 31 == 1 => ascending & !(1 << 31),
        _ => !ascending,
    };
    ((!low >> 1) as usize, f32::from_bits(bits))
}

/// The first k of the entries that were offered, in any order of offering.
#[derive(Clone)]
pub(crate) struct Best {
    k: usize,
    kept: Vec<u64>,
    /// What an entry's key must exceed, once k have been found.
    key_floor: u64,
    /// A value below it cannot get in; the cheap test before the exact one.
    value_floor: f32,
    /// Where `value_floor` begins.
    lowest: f32,
}

impl Best {
    /// For rows of `count` entries, of which those below `lowest` are passed over.
    pub(crate) fn new(k: usize, count: usize, lowest: f32) -> Best {
        let room = Best::room(k.min(count)).min(count);
        Best { k, kept: Vec::with_capacity(room), key_floor: 0, value_floor: lowest, lowest }
    }

    /// How many are kept before those that are too many go: more cost memory, fewer cost searching.
    fn room(k: usize) -> usize {
        k.saturating_mul(3).max(64)
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.key_floor = 0;
        self.value_floor = self.lowest;
    }

    #[inline]
    pub(crate) fn offer(&mut self, value: f32, index: usize) {
        // Indices were checked to fit an i32.
        self.offer_key(key(value, index as u32), value);
    }

    #[inline]
    fn offer_key(&mut self, key: u64, value: f32) {
        if value < self.value_floor || self.k == 0 || key <= self.key_floor {
            return;
        }
        self.kept.push(key);
        if self.kept.len() >= Best::room(self.k) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.kept.len() <= self.k {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by_key(self.k - 1, |&key| std::cmp::Reverse(key));
        let value = entry(*last).1;
        (self.key_floor, self.value_floor) = (*last, if value.is_nan() { f32::INFINITY } else { value });
        self.kept.truncate(self.k);
    }

    /// Takes in what another has kept.
    pub(crate) fn absorb(&mut self, other: &Best) {
        for &key in &other.kept {
            self.offer_key(key, entry(key).1);
        }
    }

    /// The entries, index and value, in no particular order.
    pub(crate) fn kept(&mut self) -> impl Iterator<Item = (usize, f32)> {
        self.prune();
        self.kept.iter().map(|&key| entry(key))
    }

    /// Writes the entries in their order; the rest becomes value 0 and index −1. Gives their number.
    pub(crate) fn write(&mut self, values: &mut [f32], indices: &mut [i32]) -> usize {
        self.prune();
        self.kept.sort_unstable_by_key(|&key| std::cmp::Reverse(key));
        values.fill(0.0);
        indices.fill(-1);
        for ((&key, value), index) in self.kept.iter().zip(values).zip(indices) {
            let (at, kept) = entry(key);
            (*value, *index) = (kept, at as i32);
        }
        self.kept.len()
    }
}

/// Entries that are looked at together before any is offered.
const GROUP: usize = 32;

/// Which of the entries are not below `floor`, NaN among them: bit i for entry i.
#[inline(always)]
fn portable_mask(values: &[f32; GROUP], floor: f32) -> u32 {
    let mut mask = 0;
    for (at, value) in values.iter().enumerate() {
        mask |= u32::from(*value >= floor || value.is_nan()) << at;
    }
    mask
}

/// Calls `hit` with each entry of `row` that may not be below the floor that `hit` gave last, at first `floor`.
#[inline(always)]
fn scan(
    row: &[f32],
    mut floor: f32,
    hit: &mut impl FnMut(usize, f32) -> f32,
    mask: impl Fn(&[f32; GROUP], f32) -> u32,
) {
    let (groups, rest) = row.as_chunks::<GROUP>();
    for (group, values) in groups.iter().enumerate() {
        let mut hits = mask(values, floor);
        while hits != 0 {
            let at = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            floor = hit(group * GROUP + at, values[at]);
        }
    }
    let start = groups.len() * GROUP;
    for (at, value) in rest.iter().enumerate() {
        hit(start + at, *value);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{GROUP, scan};

    #[target_feature(enable = "avx2,fma,avx512f")]
    pub(super) fn avx512(row: &[f32], floor: f32, hit: &mut impl FnMut(usize, f32) -> f32) {
        scan(row, floor, hit, |values: &[f32; GROUP], floor| {
            let floor = _mm512_set1_ps(floor);
            // SAFETY: the two loads are of the 32 entries.
            let (low, high) = unsafe { (_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(16))) };
            // Not less, or not comparable.
            let low = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(low, floor);
            u32::from(low) | u32::from(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(high, floor)) << 16
        });
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(row: &[f32], floor: f32, hit: &mut impl FnMut(usize, f32) -> f32) {
        scan(row, floor, hit, |values: &[f32; GROUP], floor| {
            let floor = _mm256_set1_ps(floor);
            let mut mask = 0;
            for part in 0..4 {
                // SAFETY: the four loads are of the 32 entries.
                let values = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * part)) };
                let part_mask = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(values, floor));
                mask |= (part_mask as u32) << (8 * part);
            }
            mask
        });
    }
}

/// Calls `hit` with the place and value of each entry of `row` that is not below a floor, NaN among them: first `floor`, then
/// what `hit` gave last. Entries a little below may come too.
pub(crate) fn for_hits(isa: Isa, row: &[f32], floor: f32, hit: &mut impl FnMut(usize, f32) -> f32) {
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    match isa {
        // SAFETY: the assertion has found the instruction set.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::avx512(row, floor, hit) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::avx2(row, floor, hit) },
        _ => scan(row, floor, hit, portable_mask),
    }
}

/// Offers `row`, whose first entry has the index `first`, to `best`.
pub(crate) fn offer_row(isa: Isa, best: &mut Best, row: &[f32], first: usize) {
    for_hits(isa, row, best.value_floor, &mut |at, value| {
        best.offer(value, first + at);
        best.value_floor
    });
}

/// The k first entries of each row of `width`: value descending, NaN first, ties by index ascending. Where there are
/// fewer, value 0 and index −1. Exact.
pub fn top_k(
    ctx: &Context<'_>,
    x: &[f32],
    width: usize,
    k: usize,
    values: &mut [f32],
    indices: &mut [i32],
) -> Result<(), KernelError> {
    if i32::try_from(width).is_err() {
        return Err(KernelError::TooLarge { what: "row of top_k" });
    }
    expect_len("indices of top_k", indices.len(), &[values.len()])?;
    if k == 0 {
        return expect_len("values of top_k", values.len(), &[0]);
    }
    let rows = values.len() / k;
    expect_len("values of top_k", values.len(), &[rows, k])?;
    expect_len("x of top_k", x.len(), &[rows, width])?;
    let (values, indices) = (Rows::new(values, k), Rows::new(indices, k));
    for_rows(ctx, rows, width + 2 * k, &|rows| {
        let mut best = Best::new(k, width, f32::NEG_INFINITY);
        for row in rows {
            best.clear();
            offer_row(ctx.isa, &mut best, &x[row * width..(row + 1) * width], 0);
            // SAFETY: `for_rows` gives each row to one call.
            let (values, indices) = unsafe { (values.take(row..row + 1), indices.take(row..row + 1)) };
            best.write(values, indices);
        }
    })
}
