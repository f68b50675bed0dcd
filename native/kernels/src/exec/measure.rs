//! The same call many times, timed from inside: what a kernel takes, without the way to it and back.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use super::error::{Code, ExecError};
use super::run::{Call, Run};
use super::weight::{Raw, Weight};
use crate::memory::Memory;
use crate::pool;

/// How to take the time of a call.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Runs before the first one that counts.
    pub warm_up: usize,
    pub samples: usize,
    /// Before each run that counts so many bytes are walked through, so that nothing of it is in a cache; 0: it is hot.
    pub cold_bytes: usize,
    /// Weights are packed inside each run, as if they had just come in.
    pub repack: bool,
}

/// More would be a mistake, not a measurement.
pub const MAX_SAMPLES: usize = 1 << 20;

impl Call {
    /// Nanoseconds of each sample. Inputs must have slots of their own, since they are used again.
    pub fn measure(&mut self, timing: &Timing, run: &Run) -> Result<Vec<f64>, ExecError> {
        if timing.samples > MAX_SAMPLES || timing.warm_up > MAX_SAMPLES {
            return Err(ExecError::new(Code::BadInput, format!("A call is timed at most {MAX_SAMPLES} times.")));
        }
        self.inputs_survive()?;
        if timing.repack && self.unpacked.is_none() {
            self.unpacked = Some(self.unpacked_weights()?);
        }
        let mut cold = match timing.cold_bytes {
            0 => None,
            bytes => Some(Memory::zeroed(bytes).ok_or_else(|| {
                ExecError::new(Code::Memory, format!("The system gave no {bytes} bytes to walk through."))
            })?),
        };
        let mut ns = Vec::with_capacity(timing.samples);
        for at in 0..timing.warm_up + timing.samples {
            if let (true, Some(fresh)) = (timing.repack, &self.unpacked) {
                self.weights = fresh.iter().map(Unpacked::weight).collect();
            }
            if let Some(cold) = &mut cold {
                walk(cold, self.threads);
            }
            let start = Instant::now();
            self.execute_again(run)?;
            let time = start.elapsed();
            if at >= timing.warm_up {
                ns.push(time.as_nanos() as f64);
            }
        }
        Ok(ns)
    }

    fn inputs_survive(&self) -> Result<(), ExecError> {
        let slot = |value: usize| self.program.values[value].slot;
        let written = |slot_of_input: usize| {
            let mut outputs = self.program.steps.iter().flat_map(|step| step.outputs.iter().flatten());
            outputs.any(|&value| slot(value) == slot_of_input)
        };
        match self.program.inputs.iter().find(|input| written(slot(input.value))) {
            None => Ok(()),
            Some(input) => Err(ExecError::new(
                Code::BadProgram,
                format!(
                    "The slot of input {} is written again, so this program cannot be run twice; give it a slot of its own.",
                    input.name
                ),
            )),
        }
    }

    /// The elements of weights of our own that are not packed yet.
    fn unpacked_weights(&self) -> Result<Vec<Unpacked>, ExecError> {
        let elements = self.weights.iter().zip(&self.program.params).map(|(weight, name)| {
            let refuse = || {
                ExecError::new(
                    Code::BadParam,
                    format!(
                        "{name} is mapped or packed already, so its packing cannot be timed; define its elements again."
                    ),
                )
            };
            if weight.owned_bytes() == 0 || weight.packed_bytes() > 0 {
                return Err(refuse());
            }
            let elements = weight.vector().map_err(|_| refuse())?;
            Ok(Unpacked { name: name.clone(), shape: weight.shape().to_vec(), elements })
        });
        elements.collect()
    }
}

/// A weight before anything was made of it: dense elements in row-major order.
pub(super) struct Unpacked {
    name: String,
    shape: Vec<usize>,
    elements: Arc<Vec<f32>>,
}

impl Unpacked {
    fn weight(&self) -> Arc<Weight> {
        let strides: Vec<usize> = (1..=self.shape.len()).map(|axis| self.shape[axis..].iter().product()).collect();
        Arc::new(Weight::new(&self.name, &self.shape, &strides, 0, Raw::Owned(self.elements.clone())))
    }
}

/// Every line is written, on so many threads: their own caches hold other things as well afterwards.
fn walk(memory: &mut Memory, threads: usize) {
    const PIECE: usize = 4 << 20;
    let bytes = memory.bytes_mut();
    let pieces: Vec<_> = bytes.chunks_mut(PIECE).map(std::sync::Mutex::new).collect();
    pool::run(threads, pieces.len(), &|at| {
        let mut piece = pieces[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for line in piece.chunks_mut(64) {
            line[0] = line[0].wrapping_add(1);
        }
        black_box(&mut **piece);
    });
}
