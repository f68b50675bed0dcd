//! The process's own pool of threads: workers spin for some microseconds before they park, because the steps of a
//! program follow each other faster than a parked thread wakes (about 12 µs). It only grows; threads are never joined.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread::{self, Thread};

/// No request makes more threads than this.
pub const MAX_THREADS: usize = 256;

const IDLE: u32 = 0;
const ASSIGNED: u32 = 1;
const RUNNING: u32 = 2;

/// About 25 µs of pause instructions.
const SPINS_BEFORE_PARKING: u32 = 2_000;
const SPINS_BEFORE_YIELDING: u32 = 1_000;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// One call of [`run`]; lives on the caller's stack until every worker that took it has let go.
struct Job<'a> {
    task: &'a Task<'a>,
    tasks: usize,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    fn work(&self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= self.tasks {
                    return;
                }
                (self.task)(index);
            }
        }));
        if let Err(payload) = outcome {
            self.next.store(self.tasks, Ordering::Relaxed);
            let mut first = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if first.is_none() {
                *first = Some(payload);
            } else {
                // Dropping a payload can panic itself, and nothing may unwind out of a worker.
                std::mem::forget(payload);
            }
        }
    }
}

/// What a worker and its callers share. `state` says who owns `job`: the caller while IDLE, nobody while ASSIGNED
/// (either side may take it by compare-exchange), the worker while RUNNING.
struct Slot {
    state: AtomicU32,
    parked: AtomicBool,
    job: UnsafeCell<*const ()>,
    thread: OnceLock<Thread>,
}

// SAFETY: `job` is written only while IDLE by the one caller that holds the pool's lock, and read only by the worker
// after its acquiring change to RUNNING; all other fields are Sync.
unsafe impl Sync for Slot {}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as working for the pool until dropped, so that nested calls run inline.
struct Inside(bool);

impl Inside {
    fn enter() -> Inside {
        Inside(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

static WORKERS: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

fn worker(slot: &'static Slot) {
    let _inside = Inside::enter();
    let mut spins = 0;
    loop {
        if slot.state.load(Ordering::Relaxed) == ASSIGNED
            && slot.state.compare_exchange(ASSIGNED, RUNNING, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            // SAFETY: RUNNING makes this thread the owner of `job`, and the caller keeps the Job alive until the state
            // is IDLE again; the lifetime is erased, not extended.
            let job = unsafe { &*(*slot.job.get()).cast::<Job<'_>>() };
            job.work();
            slot.state.store(IDLE, Ordering::Release);
            spins = 0;
        } else if spins < SPINS_BEFORE_PARKING {
            spins += 1;
            std::hint::spin_loop();
        } else {
            // Sequentially consistent on both sides: either the caller sees `parked`, or this thread sees ASSIGNED.
            slot.parked.store(true, Ordering::SeqCst);
            if slot.state.load(Ordering::SeqCst) != ASSIGNED {
                thread::park();
            }
            slot.parked.store(false, Ordering::SeqCst);
            spins = 0;
        }
    }
}

/// Starts workers until there are `wanted`; fewer when the system refuses.
fn grow(workers: &mut Vec<&'static Slot>, wanted: usize) {
    while workers.len() < wanted {
        let slot: &'static Slot = Box::leak(Box::new(Slot {
            state: AtomicU32::new(IDLE),
            parked: AtomicBool::new(false),
            job: UnsafeCell::new(std::ptr::null()),
            thread: OnceLock::new(),
        }));
        let name = format!("circuitscope-{}", workers.len() + 1);
        let Ok(handle) = thread::Builder::new().name(name).spawn(move || worker(slot)) else {
            return;
        };
        // The slot is empty, so this cannot fail.
        let _ = slot.thread.set(handle.thread().clone());
        workers.push(slot);
    }
}

/// Runs `task(0)` … `task(tasks - 1)`, each once, on up to `threads` threads of which the caller is one, and returns
/// when all have finished. Which thread runs which task is not determined.
///
/// Inside a task, or while another thread uses the pool, the tasks run on the calling thread alone. When a task
/// panics no further task starts, and the first panic goes on in the caller.
pub fn run(threads: usize, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
    let inline = || (0..tasks).for_each(task);
    let helpers = threads.min(tasks).min(MAX_THREADS).saturating_sub(1);
    if helpers == 0 || INSIDE.get() {
        return inline();
    }
    let mut workers = match WORKERS.try_lock() {
        Ok(workers) => workers,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            // Its tasks are inside all the same: what they start stays on this thread, even if the pool is free by then.
            let _inside = Inside::enter();
            return inline();
        }
    };
    grow(&mut workers, helpers);
    let helpers = &workers[..helpers.min(workers.len())];

    let job = Job { task, tasks, next: AtomicUsize::new(0), panic: Mutex::new(None) };
    for slot in helpers {
        // SAFETY: the state is IDLE (every earlier call waited for that) and this call holds the pool's lock, so
        // nobody else touches `job` now.
        unsafe { *slot.job.get() = (&raw const job).cast() };
        slot.state.store(ASSIGNED, Ordering::SeqCst);
        if slot.parked.load(Ordering::SeqCst) {
            slot.thread.get().inspect(|thread| thread.unpark());
        }
    }
    {
        let _inside = Inside::enter();
        job.work();
    }
    for slot in helpers {
        // A worker that has not woken yet is let off; one that has is waited for, since it holds a pointer to `job`.
        if slot.state.compare_exchange(ASSIGNED, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            let mut spins = 0;
            while slot.state.load(Ordering::Acquire) != IDLE {
                if spins < SPINS_BEFORE_YIELDING {
                    spins += 1;
                    std::hint::spin_loop();
                } else {
                    thread::yield_now();
                }
            }
        }
    }
    drop(workers);
    if let Some(payload) = job.panic.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        resume_unwind(payload);
    }
}

fn parse_threads(value: &str) -> Result<usize, String> {
    match value.trim().parse::<usize>() {
        Ok(threads) if (1..=MAX_THREADS).contains(&threads) => Ok(threads),
        _ => Err(format!(
            "CIRCUITSCOPE_THREADS={value} is not a whole number from 1 to {MAX_THREADS}; set one, or unset it"
        )),
    }
}

/// Physical cores, where Linux tells which processors share one. A second thread on a core gains these kernels nothing.
fn physical_cores() -> Option<usize> {
    let mut cores = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        if let Ok(siblings) = std::fs::read_to_string(entry.path().join("topology/thread_siblings_list")) {
            cores.insert(siblings);
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

/// How many threads to use when nobody says: `CIRCUITSCOPE_THREADS`, or the physical cores this process may run on.
pub fn default_threads() -> Result<usize, String> {
    static CHOSEN: OnceLock<Result<usize, String>> = OnceLock::new();
    CHOSEN
        .get_or_init(|| match std::env::var_os("CIRCUITSCOPE_THREADS") {
            Some(value) => parse_threads(&value.to_string_lossy()),
            None => {
                let allowed = thread::available_parallelism().map_or(1, |count| count.get());
                Ok(physical_cores().map_or(allowed, |cores| cores.min(allowed)).clamp(1, MAX_THREADS))
            }
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_count_is_a_positive_number_or_an_error() {
        assert_eq!(parse_threads("3"), Ok(3));
        for bad in ["", "0", "-1", "two", "257", "1.5"] {
            assert!(parse_threads(bad).unwrap_err().contains("CIRCUITSCOPE_THREADS"), "{bad}");
        }
        assert!(default_threads().is_ok_and(|threads| threads >= 1));
    }
}
