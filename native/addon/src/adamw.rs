use std::sync::atomic::{AtomicU32, Ordering};

use circuitscope_kernels::{ops, pool};
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use crate::array;
use crate::error::{ErrorCode, guarded};
use crate::info::{active_isa, default_threads};

/// The numbers of one update, see the kernel.
#[napi(object)]
pub struct AdamWFactors {
    pub factor: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub keep: f64,
    pub size: f64,
    pub root: f64,
    pub eps: f64,
}

/// Entries of one task: four buffers of 8 KB.
const ENTRIES: usize = 2048;

/// Updates weights and moments in place, a few milliseconds for millions of them. Throws `bad_input`.
#[napi]
pub fn adamw(
    gradient: Unknown<'_>,
    weights: Unknown<'_>,
    first: Unknown<'_>,
    second: Unknown<'_>,
    with: AdamWFactors,
) -> napi::Result<(), ErrorCode> {
    guarded(|| {
        let AdamWFactors { factor, beta1, beta2, keep, size, root, eps } = with;
        let with = ops::AdamW { factor, beta1, beta2, keep, size, root, eps };
        let (isa, threads) = (active_isa()?, default_threads()?);
        let weights = array::bits("The weights", &weights, None)?;
        let gradient = array::bits("The gradient", &gradient, Some(weights.len()))?;
        let first = array::bits("The first moment", &first, Some(weights.len()))?;
        let second = array::bits("The second moment", &second, Some(weights.len()))?;
        // JavaScript waits meanwhile; memory that it shares with a worker may change under our hands, which atomics allow.
        pool::run(threads, weights.len().div_ceil(ENTRIES), &|task| {
            let range = task * ENTRIES..weights.len().min((task + 1) * ENTRIES);
            let length = range.len();
            let mut buffers = [[0f32; ENTRIES]; 4];
            let [g, w, m, v] = &mut buffers;
            for (to, from) in [(&mut *g, gradient), (&mut *w, weights), (&mut *m, first), (&mut *v, second)] {
                load(&from[range.clone()], to);
            }
            ops::adamw(isa, with, &g[..length], &mut w[..length], &mut m[..length], &mut v[..length]);
            for (from, to) in [(&*w, weights), (&*m, first), (&*v, second)] {
                store(from, &to[range.clone()]);
            }
        });
        Ok(())
    })
}

fn load(from: &[AtomicU32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(from.load(Ordering::Relaxed));
    }
}

fn store(from: &[f32], to: &[AtomicU32]) {
    for (from, to) in from.iter().zip(to) {
        to.store(from.to_bits(), Ordering::Relaxed);
    }
}
