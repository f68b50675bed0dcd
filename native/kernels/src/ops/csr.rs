use std::cmp::Ordering as Order;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::error::KernelError;

/// Where sparse rows go: row t is `row_start[t] .. row_start[t + 1]` of `values` and `latents`, latents ascending. As many
/// entries as `values` has are the capacity; behind the last one stand value 0 and latent −1.
#[derive(Debug)]
pub struct Csr<'a> {
    pub values: &'a mut [f32],
    pub latents: &'a mut [i32],
    pub row_start: &'a mut [i32],
}

impl Csr<'_> {
    pub(super) fn tokens(&self) -> Result<usize, KernelError> {
        let none = KernelError::Shape { what: "row_start of sparse rows", expected: 1, got: 0 };
        let tokens = self.row_start.len().checked_sub(1).ok_or(none)?;
        let large = KernelError::TooLarge { what: "sparse rows" };
        i32::try_from(tokens.max(self.values.len())).map_err(|_| large)?;
        Ok(tokens)
    }
}

/// Which of the active entries stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    All,
    /// So many of the whole batch: value descending, NaN first, −0 equal to +0, ties by token, then by latent.
    First(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub token: u32,
    pub latent: u32,
    pub value: f32,
}

/// Larger is earlier. Equal for −0 and +0, and for all NaN.
fn rank(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    match (value.is_nan(), bits >> 31) {
        (true, _) => u32::MAX,
        (_, 1) => !bits,
        _ => bits | 1 << 31,
    }
}

/// The order of [`Keep::First`]; no two entries of a batch are equal in it.
fn order(a: &Hit, b: &Hit) -> Order {
    rank(b.value).cmp(&rank(a.value)).then((a.token, a.latent).cmp(&(b.token, b.latent)))
}

/// Takes in the hits of many threads, and keeps as many as there is room for, or as are wanted.
pub(super) struct Collector<'a> {
    keep: Keep,
    to: Csr<'a>,
    /// All that were found. More than there is room for are counted, not kept.
    found: AtomicUsize,
    /// Entries that are in their place.
    placed: usize,
    /// For `Keep::First`: the first of those that came so far and some more. Which in the end does not depend on who came when.
    first: Mutex<Vec<Hit>>,
    /// No value below it is among the first; the bits of a float.
    floor: AtomicU32,
}

impl<'a> Collector<'a> {
    pub fn new(keep: Keep, to: Csr<'a>) -> Result<Collector<'a>, KernelError> {
        let capacity = to.values.len();
        if to.latents.len() != capacity {
            return Err(KernelError::Shape {
                what: "latents of sparse rows",
                expected: capacity,
                got: to.latents.len(),
            });
        }
        to.values.fill(0.0);
        to.latents.fill(-1);
        to.row_start.fill(0);
        let floor = AtomicU32::new(f32::NEG_INFINITY.to_bits());
        Ok(Collector { keep, to, found: AtomicUsize::new(0), placed: 0, first: Mutex::new(Vec::new()), floor })
    }

    /// Values below it need not be offered.
    pub fn floor(&self, lowest: f32) -> f32 {
        f32::from_bits(self.floor.load(Ordering::Relaxed)).max(lowest)
    }

    /// Counts the hits behind the first `counted`, and takes from the caller those that it need not hold.
    pub fn take(&self, hits: &mut Vec<Hit>, counted: &mut usize) -> Result<(), KernelError> {
        match self.keep {
            Keep::All => {
                let new = hits.len() - *counted;
                if self.found.fetch_add(new, Ordering::Relaxed) + new > self.to.values.len() {
                    *hits = Vec::new();
                }
                *counted = hits.len();
            }
            Keep::First(0) => hits.clear(),
            Keep::First(wanted) => {
                let mut first = self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let large = KernelError::TooLarge { what: "the first of a batch" };
                first.try_reserve(hits.len()).map_err(|_| large)?;
                first.append(hits);
                if first.len() >= wanted.saturating_mul(2).max(1 << 12) {
                    self.prune(&mut first, wanted);
                }
            }
        }
        Ok(())
    }

    fn prune(&self, first: &mut Vec<Hit>, wanted: usize) {
        if first.len() <= wanted {
            return;
        }
        let (_, last, _) = first.select_nth_unstable_by(wanted - 1, order);
        let floor = if last.value.is_nan() { f32::INFINITY } else { last.value };
        self.floor.store(floor.to_bits(), Ordering::Relaxed);
        first.truncate(wanted);
    }

    /// Puts the hits of some tokens, which follow those placed before, in their places. Of one token they come by latent.
    pub fn place(&mut self, tokens: Range<usize>, found: impl Iterator<Item = Vec<Hit>>) -> Result<(), KernelError> {
        if self.keep != Keep::All || *self.found.get_mut() > self.to.values.len() {
            return Ok(());
        }
        let lists: Vec<Vec<Hit>> = found.collect();
        // Counts, then their sums: where each row begins, moving on as its entries come.
        let row_start = &mut self.to.row_start[tokens.start..=tokens.end];
        for hit in lists.iter().flatten() {
            row_start[hit.token as usize - tokens.start + 1] += 1;
        }
        row_start[0] = self.placed as i32;
        for at in 1..row_start.len() {
            row_start[at] += row_start[at - 1];
        }
        let mut next: Vec<usize> = row_start[..tokens.len()].iter().map(|&start| start as usize).collect();
        for hit in lists.iter().flatten() {
            let at = &mut next[hit.token as usize - tokens.start];
            (self.to.values[*at], self.to.latents[*at]) = (hit.value, hit.latent as i32);
            *at += 1;
        }
        self.placed = row_start[tokens.len()] as usize;
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), KernelError> {
        if let Keep::First(wanted) = self.keep {
            let mut first = std::mem::take(self.first.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner));
            self.prune(&mut first, wanted);
            first.sort_unstable_by_key(|hit| (hit.token, hit.latent));
            *self.found.get_mut() = first.len();
            self.keep = Keep::All;
            self.place(0..self.to.row_start.len() - 1, std::iter::once(first))?;
        }
        let (needed, capacity) = (*self.found.get_mut(), self.to.values.len());
        if needed > capacity {
            return Err(KernelError::Capacity { what: "sparse rows", needed, capacity });
        }
        Ok(())
    }
}
