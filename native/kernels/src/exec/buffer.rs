//! Memory of a call's slots. Fresh pages cost up to a millisecond for what a used buffer gives in microseconds, so
//! buffers go back to a small common store.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use crate::memory::Memory;

/// At most this much is kept for later calls.
const KEPT_BYTES: usize = 256 << 20;
/// Sizes are rounded up to this, so that nearly equal slots can take each other's place.
const GRAIN: usize = 4096;

/// Used memory, the longest unused first.
static KEPT: Mutex<VecDeque<Memory>> = Mutex::new(VecDeque::new());

fn kept() -> MutexGuard<'static, VecDeque<Memory>> {
    KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Memory of entries of 4 or 8 bytes that starts on a cache line.
pub(crate) struct Buffer(Option<Memory>);

impl Buffer {
    pub(crate) const fn empty() -> Buffer {
        Buffer(None)
    }

    /// At least `bytes`; their values are whatever the last user left. `None` when the system has none.
    pub(crate) fn take(bytes: usize) -> Option<Buffer> {
        if bytes == 0 {
            return Some(Buffer::empty());
        }
        let bytes = bytes.checked_next_multiple_of(GRAIN)?;
        let reused = {
            let mut kept = kept();
            let size = |at: &usize| kept[*at].len();
            let fitting = (0..kept.len()).filter(|at| (bytes..=bytes.saturating_mul(2)).contains(&size(at)));
            fitting.min_by_key(size).and_then(|best| kept.remove(best))
        };
        Some(Buffer(Some(reused.or_else(|| Memory::zeroed(bytes))?)))
    }

    /// Gives the memory back to the system, not to the store.
    pub(crate) fn free(mut self) {
        self.0 = None;
    }

    /// The start of `len` entries of `size` bytes each, at most 8, after checking that they are there.
    fn start(&self, len: usize, size: usize) -> NonNull<u8> {
        match &self.0 {
            Some(memory) if len <= memory.len() / size => memory.start(),
            None if len == 0 => NonNull::<u64>::dangling().cast(),
            _ => panic!("a slot is smaller than {len} entries"),
        }
    }

    pub(crate) fn floats(&self, len: usize) -> &[f32] {
        // SAFETY: `start` has checked `len`; aligned to more than 4, zeroed when new, any bits are an f32.
        unsafe { std::slice::from_raw_parts(self.start(len, 4).as_ptr().cast(), len) }
    }

    pub(crate) fn floats_mut(&mut self, len: usize) -> &mut [f32] {
        // SAFETY: as in `floats`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(len, 4).as_ptr().cast(), len) }
    }

    pub(crate) fn doubles(&self, len: usize) -> &[f64] {
        // SAFETY: as in `floats`, with 8 bytes an entry; aligned to a cache line, any bits are an f64.
        unsafe { std::slice::from_raw_parts(self.start(len, 8).as_ptr().cast(), len) }
    }

    pub(crate) fn doubles_mut(&mut self, len: usize) -> &mut [f64] {
        // SAFETY: as in `doubles`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(len, 8).as_ptr().cast(), len) }
    }

    pub(crate) fn ints(&self, len: usize) -> &[i32] {
        // SAFETY: as in `floats`; any bits are an i32.
        unsafe { std::slice::from_raw_parts(self.start(len, 4).as_ptr().cast(), len) }
    }

    pub(crate) fn ints_mut(&mut self, len: usize) -> &mut [i32] {
        // SAFETY: as in `ints`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(len, 4).as_ptr().cast(), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(memory) = self.0.take().filter(|memory| memory.len() <= KEPT_BYTES) else { return };
        let mut kept = kept();
        let mut held = memory.len() + kept.iter().map(|memory| memory.len()).sum::<usize>();
        kept.push_back(memory);
        while held > KEPT_BYTES
            && let Some(oldest) = kept.pop_front()
        {
            held -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_as_large_as_asked() {
        for bytes in [0, 4, 100, 4096, 1 << 20] {
            let mut buffer = Buffer::take(bytes).unwrap();
            let floats = buffer.floats_mut(bytes / 4);
            floats.fill(1.5);
            assert_eq!(floats.len(), bytes / 4);
            assert!(bytes == 0 || floats.as_ptr().addr().is_multiple_of(crate::memory::ALIGN));
            assert!(buffer.ints(bytes / 4).iter().all(|&bits| bits == 0x3fc0_0000));
            assert!(buffer.doubles(bytes / 8).iter().all(|double| double.to_bits() == 0x3fc0_0000_3fc0_0000));
            buffer.doubles_mut(bytes / 8).fill(2.5);
            assert_eq!(buffer.doubles(bytes / 8), vec![2.5; bytes / 8]);
        }
        assert!(Buffer::take(usize::MAX - 10).is_none());
    }

    #[test]
    fn what_is_kept_stays_within_its_limit() {
        for _ in 0..5 {
            drop(Buffer::take(KEPT_BYTES / 4 + 1));
            drop((0..6).map(|_| Buffer::take(KEPT_BYTES / 4)).collect::<Vec<_>>());
            assert!(kept().iter().map(|memory| memory.len()).sum::<usize>() <= KEPT_BYTES);
        }
    }
}
