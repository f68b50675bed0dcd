//! What this machine can do at most, so that a kernel's time has something to be held against: multiplications in
//! registers, the clock under them, bytes from each level of the memory.

mod bandwidth;
mod clock;
mod fma;

pub use bandwidth::{Traffic, bandwidth};
pub use clock::clock;
pub use fma::fma;

use std::time::Instant;

/// The work of one sample (operations, cycles or bytes, as the measure says) and how long each took, in nanoseconds.
#[derive(Clone, PartialEq, Debug)]
pub struct Samples {
    pub work: f64,
    pub ns: Vec<f64>,
}

/// Times of `count` runs after one to warm up, or those of fewer when `stop` says so.
fn sample(count: usize, stop: &dyn Fn() -> bool, mut run: impl FnMut()) -> Vec<f64> {
    run();
    (0..count)
        .take_while(|_| !stop())
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_nanos() as f64
        })
        .collect()
}
