use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::isa::Isa;
use crate::memory::Memory;
use crate::ops::per_isa;
use crate::pool;

use super::{Samples, sample};

/// What passes between memory and registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    /// Everything is read once and added up.
    Read,
    /// a = b + s·c: two arrays are read, one is written. 12 bytes an element count, without the line that a store to
    /// memory may read first.
    Triad,
}

/// A sample passes at least so many bytes, however small the arrays are.
const LEAST_BYTES: usize = 32 << 20;
/// Floats of a cache line.
const LINE: usize = 16;

/// Bytes a second through arrays of `bytes` together, cut between the threads; `work` is bytes. `None` where the memory is
/// not there or the arrays are too small to be cut.
pub fn bandwidth(
    isa: Isa,
    traffic: Traffic,
    bytes: usize,
    threads: usize,
    samples: usize,
    stop: &dyn Fn() -> bool,
) -> Option<Samples> {
    let threads = threads.max(1);
    let arrays = match traffic {
        Traffic::Read => 1,
        Traffic::Triad => 3,
    };
    // Floats of one array of one thread, whole cache lines.
    let part = bytes / 4 / arrays / threads / LINE * LINE;
    if part == 0 || !isa.is_available() {
        return None;
    }
    let mut memory = Memory::zeroed(part * threads * arrays * 4)?;
    let floats = memory.bytes_mut();
    // Every page is written, so that it is one of ours and not the system's page of zeros.
    for (at, float) in floats.chunks_exact_mut(4).enumerate() {
        float.copy_from_slice(&(1.0 + (at % 7) as f32).to_le_bytes());
    }
    let start = Parts(floats.as_mut_ptr().cast::<f32>());
    let sink = AtomicU64::new(0);
    let again = LEAST_BYTES.div_ceil(part * threads * arrays * 4);
    let ns = sample(samples, stop, || {
        pool::run(threads, threads, &|thread| {
            // SAFETY: thread `thread` alone touches its `arrays` parts, which lie inside `memory`, alive and initialised.
            let own = unsafe { std::slice::from_raw_parts_mut(start.of(thread * part * arrays), part * arrays) };
            for _ in 0..again {
                match traffic {
                    Traffic::Read => {
                        sink.fetch_add(u64::from(read(isa, black_box(own)).to_bits()), Ordering::Relaxed);
                    }
                    Traffic::Triad => {
                        let (a, others) = own.split_at_mut(part);
                        let (b, c) = others.split_at(part);
                        triad(isa, a, b, c);
                        black_box(&a);
                    }
                }
            }
        });
    });
    black_box(sink.into_inner());
    Some(Samples { work: (again * part * threads * arrays * 4) as f64, ns })
}

/// The start of memory whose parts are handed out, one to each thread.
struct Parts(*mut f32);

// SAFETY: tasks take disjoint parts.
unsafe impl Sync for Parts {}

impl Parts {
    /// # Safety
    /// `offset` lies inside the memory.
    unsafe fn of(&self, offset: usize) -> *mut f32 {
        // SAFETY: said above.
        unsafe { self.0.add(offset) }
    }
}

per_isa! {
    /// Eight cache lines of sums, so that no addition waits for the one before.
    fn read(x: &[f32]) -> f32 {
        let mut sums = [0f32; 8 * LINE];
        for stretch in x.chunks_exact(8 * LINE) {
            for (sum, value) in sums.iter_mut().zip(stretch) {
                *sum += value;
            }
        }
        let rest = x.chunks_exact(8 * LINE).remainder();
        sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
    }
}

per_isa! {
    fn triad(a: &mut [f32], b: &[f32], c: &[f32]) {
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = c.mul_add(0.25, *b);
        }
    }
}
