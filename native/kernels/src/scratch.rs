//! Working memory that a thread keeps between calls: fresh pages cost more than the packing they would hold.

use std::cell::RefCell;

/// One cache line, so that every buffer made of them starts on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

const FLOATS: usize = 16;
/// A buffer above this many lines (16 MiB) is given back to the system after use.
const KEPT_LINES: usize = (16 << 20) / 64;

pub(crate) fn zeroed_lines(count: usize) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    lines.try_reserve_exact(count).ok()?;
    lines.resize(count, Line([0; 64]));
    Some(lines)
}

pub(crate) fn as_bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: a Line is 64 initialised bytes without padding, and the borrow is carried over.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

pub(crate) fn as_bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: a Line is 64 initialised bytes without padding, any byte is valid, and the unique borrow is carried over.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

fn as_floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: a Line is 16 aligned f32 without padding, any bits are a valid f32, the unique borrow is carried over.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * FLOATS) }
}

thread_local! {
    static KEPT: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with `len` floats of this thread's scratch, 64-byte aligned. Their values are whatever the last user
/// left. Calls may nest. `None` when the memory is not there.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> Option<R> {
    let count = len.div_ceil(FLOATS);
    let mut lines = KEPT.with_borrow_mut(|kept| kept.pop()).unwrap_or_default();
    if lines.len() < count {
        lines = zeroed_lines(count)?;
    }
    let result = body(&mut as_floats_mut(&mut lines)[..len]);
    if lines.len() <= KEPT_LINES {
        KEPT.with_borrow_mut(|kept| kept.push(lines));
    }
    Some(result)
}
