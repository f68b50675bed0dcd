//! Working memory that a thread keeps between calls: fresh pages cost more than the packing they would hold.

use std::cell::RefCell;

use crate::memory::Memory;

/// A buffer above this (16 MiB) is given back to the system after use.
const KEPT_BYTES: usize = 16 << 20;

/// The floats of memory whose length is a multiple of 4.
fn floats_mut(memory: &mut Memory) -> &mut [f32] {
    let length = memory.len() / size_of::<f32>();
    // SAFETY: memory starts on a cache line and is initialised, any bits are a valid f32, and the unique borrow is carried
    // over.
    unsafe { std::slice::from_raw_parts_mut(memory.bytes_mut().as_mut_ptr().cast(), length) }
}

thread_local! {
    static KEPT: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// As [`with_scratch`], for doubles.
pub fn with_doubles<R>(len: usize, body: impl FnOnce(&mut [f64]) -> R) -> Option<R> {
    with_scratch(len.checked_mul(2)?, |floats| {
        // SAFETY: any bits are a valid f64 and a valid f32; scratch starts on a cache line, so nothing is cut off.
        let (before, doubles, after) = unsafe { floats.align_to_mut::<f64>() };
        assert!(before.is_empty() && after.is_empty());
        body(doubles)
    })
}

/// Runs `body` with `len` floats of this thread's scratch, 64-byte aligned. Their values are whatever the last user
/// left. Calls may nest. `None` when the memory is not there.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> Option<R> {
    if len == 0 {
        return Some(body(&mut []));
    }
    let bytes = len.checked_mul(size_of::<f32>())?;
    let kept = KEPT.with_borrow_mut(|kept| {
        let fitting = (0..kept.len()).filter(|&at| kept[at].len() >= bytes);
        let best = fitting.min_by_key(|&at| kept[at].len());
        // One that is too small makes room for its successor.
        best.map(|at| kept.swap_remove(at)).or_else(|| kept.pop().filter(|_| false))
    });
    let mut memory = kept.or_else(|| Memory::zeroed(bytes))?;
    let result = body(&mut floats_mut(&mut memory)[..len]);
    if memory.len() <= KEPT_BYTES {
        KEPT.with_borrow_mut(|kept| kept.push(memory));
    }
    Some(result)
}
