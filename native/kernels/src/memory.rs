//! Memory that a kernel owns: on whole cache lines, zeroed, and in huge pages where it is large, since walking page tables
//! and faulting pages in one by one would cost a product up to a tenth of its time.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use memmap2::MmapMut;

/// Every start is a multiple of it: one cache line.
pub(crate) const ALIGN: usize = 64;
/// From here on (two huge pages of x86-64) memory is mapped by itself.
const MAPPED: usize = 4 << 20;

/// Memory that is owned alone.
pub(crate) enum Memory {
    Allocated { start: NonNull<u8>, layout: Layout },
    Mapped(MmapMut),
}

// SAFETY: the memory is owned alone; shared references only read it.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// `bytes` zeros; `None` for none at all, and when the system has no more.
    pub(crate) fn zeroed(bytes: usize) -> Option<Memory> {
        if bytes >= MAPPED {
            let map = MmapMut::map_anon(bytes).ok()?;
            // Advice alone: where the system declines, small pages do.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            return Some(Memory::Mapped(map));
        }
        let layout = Layout::from_size_align(bytes, ALIGN).ok().filter(|layout| layout.size() > 0)?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Memory::Allocated { start, layout })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Memory::Allocated { layout, .. } => layout.size(),
            Memory::Mapped(map) => map.len(),
        }
    }

    /// Aligned to [`ALIGN`]; valid for `len` bytes, which are all initialised.
    pub(crate) fn start(&self) -> NonNull<u8> {
        match self {
            Memory::Allocated { start, .. } => *start,
            Memory::Mapped(map) => NonNull::from(&map[..]).cast(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` and `len` are those of memory that lives as long as self, and every byte was zeroed.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.len()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            // SAFETY: as in `bytes`, and the borrow is unique.
            Memory::Allocated { start, layout } => unsafe {
                std::slice::from_raw_parts_mut(start.as_ptr(), layout.size())
            },
            Memory::Mapped(map) => &mut map[..],
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Memory::Allocated { start, layout } = self {
            // SAFETY: allocated by `zeroed` with this layout, and nobody else has it.
            unsafe { dealloc(start.as_ptr(), *layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_as_large_as_asked_on_either_side_of_the_limit() {
        assert!(Memory::zeroed(0).is_none() && Memory::zeroed(usize::MAX - 10).is_none());
        for bytes in [1, 64, 4097, MAPPED - 1, MAPPED, MAPPED + 65] {
            let mut memory = Memory::zeroed(bytes).unwrap();
            assert!(memory.len() == bytes && memory.start().addr().get().is_multiple_of(ALIGN));
            assert!(memory.bytes().iter().all(|&byte| byte == 0));
            memory.bytes_mut().fill(7);
            assert!(memory.bytes().iter().all(|&byte| byte == 7));
        }
    }
}
