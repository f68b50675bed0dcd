//! Running a program: bind sizes and weights, copy inputs in, loop over the steps, copy outputs out.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::buffer::Buffer;
use super::check::{StepShapes, check_step, checked_product};
use super::dispatch::{StepValues, run_kernel};
use super::error::{Code, ExecError};
use super::kernel::Dtype;
use super::measure::Unpacked;
use super::program::{Dim, Program, Step};
use super::shapes::Sizes;
use super::store::Store;
use super::weight::Weight;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::isa::Isa;

/// One run, as seen from outside: to stop it, and to see how far it is.
#[derive(Debug, Default)]
pub struct Run {
    cancelled: AtomicBool,
    steps: AtomicU32,
}

impl Run {
    /// Asks the run to stop; it does within 50 ms.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Steps that are done.
    pub fn progress(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// The entries of one value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Entries<'a> {
    F32(&'a [f32]),
    I32(&'a [i32]),
    F64(&'a [f64]),
}

/// The entries of one value, to be filled.
#[derive(PartialEq, Debug)]
pub enum EntriesMut<'a> {
    F32(&'a mut [f32]),
    I32(&'a mut [i32]),
    F64(&'a mut [f64]),
}

/// Outputs of fewer bytes together are copied, and leave warm memory behind for later calls.
const COPIED: usize = 32 << 20;
/// The least bytes of an output that is worth the mapping.
const GIVEN_AWAY: usize = 64 << 10;

/// An output that left its call, with the memory that it was computed in.
pub struct GivenAway {
    entries: Buffer,
    dtype: Dtype,
    length: usize,
}

impl GivenAway {
    pub fn entries_mut(&mut self) -> EntriesMut<'_> {
        match self.dtype {
            Dtype::F32 => EntriesMut::F32(self.entries.floats_mut(self.length)),
            Dtype::I32 => EntriesMut::I32(self.entries.ints_mut(self.length)),
            Dtype::F64 => EntriesMut::F64(self.entries.doubles_mut(self.length)),
        }
    }
}

impl Drop for GivenAway {
    fn drop(&mut self) {
        std::mem::replace(&mut self.entries, Buffer::empty()).free();
    }
}

/// A program with everything bound: all shapes known and found to fit, memory taken.
pub struct Call {
    pub(super) program: Arc<Program>,
    isa: Isa,
    pub(super) threads: usize,
    /// Entries of each value.
    lengths: Vec<usize>,
    sizes: Vec<Sizes>,
    pub(super) weights: Vec<Arc<Weight>>,
    slots: Vec<Buffer>,
    /// Outputs that left with their memory.
    given_away: Vec<bool>,
    used: bool,
    /// The weights as they were before any packing, where that is to be timed more than once.
    pub(super) unpacked: Option<Vec<Unpacked>>,
}

/// What a call may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub threads: usize,
    /// Most bytes of the slots together.
    pub memory_bytes: Option<u64>,
}

impl Call {
    /// Binds the sizes, finds the weights, checks every step and takes the memory, in this order.
    pub fn bind(
        program: &Arc<Program>,
        store: &Store,
        sizes: &HashMap<String, usize>,
        limits: Limits,
    ) -> Result<Call, ExecError> {
        let mut bound = Vec::with_capacity(program.symbols.len());
        for symbol in &program.symbols {
            let Some(&size) = sizes.get(symbol) else {
                return Err(ExecError::new(Code::BadInput, format!("The size {symbol} is not bound for this call.")));
            };
            bound.push(size);
        }
        let bind = |dim: Dim| match dim {
            Dim::Fixed(size) => size,
            Dim::Symbol(symbol) => bound.get(symbol).copied().unwrap_or(0),
        };
        let shapes: Vec<Vec<usize>> =
            program.values.iter().map(|value| value.shape.iter().copied().map(bind).collect()).collect();
        let too_large = |what: &str| {
            ExecError::new(Code::Memory, format!("{what} does not fit the address space; use fewer examples."))
        };
        let lengths = shapes
            .iter()
            .map(|shape| checked_product(shape).ok_or_else(|| too_large("A value")))
            .collect::<Result<Vec<_>, _>>()?;
        let mut slot_bytes = vec![0usize; program.slots];
        for (value, length) in program.values.iter().zip(&lengths) {
            slot_bytes[value.slot] = slot_bytes[value.slot].max(length * value.dtype.size());
        }
        let total = slot_bytes
            .iter()
            .try_fold(0u64, |total, &bytes| total.checked_add(bytes as u64))
            .ok_or_else(|| too_large("The arena"))?;
        if let Some(budget) = limits.memory_bytes.filter(|budget| total > *budget) {
            return Err(ExecError::new(
                Code::Memory,
                format!(
                    "This call needs {total} bytes for its activations; the budget is {budget}. Use fewer examples, capture less, or raise the budget."
                ),
            ));
        }
        let weights = program
            .params
            .iter()
            .map(|name| {
                store.find(name).ok_or_else(|| {
                    ExecError::new(Code::MissingParam, format!("There is no weight {name} in the store."))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut step_sizes = Vec::with_capacity(program.steps.len());
        for (at, step) in program.steps.iter().enumerate() {
            let pick = |values: &[Option<usize>]| {
                values.iter().map(|value| value.map(|value| shapes[value].as_slice())).collect()
            };
            let step_shapes = StepShapes {
                inputs: pick(&step.inputs),
                outputs: pick(&step.outputs),
                params: step.params.iter().map(|param| param.map(|param| weights[param].shape())).collect(),
            };
            step_sizes.push(check_step(&step.kernel, &step_shapes, &bind).map_err(|why| {
                ExecError::new(Code::BadProgram, format!("steps[{at}] ({}): {why}.", step.kernel.name()))
            })?);
        }
        let slots = slot_bytes
            .into_iter()
            .map(|bytes| {
                Buffer::take(bytes).ok_or_else(|| {
                    ExecError::new(Code::Memory, format!("The system gave no {total} bytes for this call."))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let threads = limits.threads.max(1);
        Ok(Call {
            program: program.clone(),
            isa: store.isa(),
            threads,
            lengths,
            sizes: step_sizes,
            weights,
            slots,
            given_away: vec![false; program.outputs.len()],
            used: false,
            unpacked: None,
        })
    }

    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        self.program.inputs.iter().map(|input| input.name.as_str())
    }

    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.program.outputs.iter().map(|output| output.name.as_str())
    }

    /// Where to copy an input. All of it must be written: it holds whatever was there before.
    pub fn input_mut(&mut self, name: &str) -> Option<EntriesMut<'_>> {
        let value = self.program.inputs.iter().find(|input| input.name == name)?.value;
        let (spec, length) = (&self.program.values[value], self.lengths[value]);
        let slot = &mut self.slots[spec.slot];
        Some(match spec.dtype {
            Dtype::F32 => EntriesMut::F32(slot.floats_mut(length)),
            Dtype::I32 => EntriesMut::I32(slot.ints_mut(length)),
            Dtype::F64 => EntriesMut::F64(slot.doubles_mut(length)),
        })
    }

    /// An output, once the run is done and until it is given away.
    pub fn output(&self, name: &str) -> Option<Entries<'_>> {
        let at = self.program.outputs.iter().position(|output| output.name == name)?;
        let value = self.program.outputs[at].value;
        if self.given_away[at] {
            return None;
        }
        let (spec, length) = (&self.program.values[value], self.lengths[value]);
        let slot = &self.slots[spec.slot];
        Some(match spec.dtype {
            Dtype::F32 => Entries::F32(slot.floats(length)),
            Dtype::I32 => Entries::I32(slot.ints(length)),
            Dtype::F64 => Entries::F64(slot.doubles(length)),
        })
    }

    /// Gives an output away with its memory, where the outputs are many megabytes and no other one lies there too, so that
    /// they are neither copied nor twice in memory. `None` where it is to be copied.
    pub fn give_away(&mut self, name: &str) -> Option<GivenAway> {
        let outputs = &self.program.outputs;
        let at = outputs.iter().position(|output| output.name == name)?;
        let (value, bytes) = (outputs[at].value, |at: usize| {
            let value = outputs[at].value;
            self.lengths[value] * self.program.values[value].dtype.size()
        });
        let spec = &self.program.values[value];
        let there =
            |other: usize| !self.given_away[other] && self.program.values[outputs[other].value].slot == spec.slot;
        let alone = (0..outputs.len()).all(|other| (other == at) == there(other));
        if !alone || bytes(at) < GIVEN_AWAY || (0..outputs.len()).map(bytes).sum::<usize>() < COPIED {
            return None;
        }
        let entries = std::mem::replace(&mut self.slots[spec.slot], Buffer::empty());
        self.given_away[at] = true;
        Some(GivenAway { entries, dtype: spec.dtype, length: self.lengths[value] })
    }

    /// All steps, one after the other, once: inputs share slots with what is computed from them. A panic comes back as an
    /// error.
    pub fn execute(&mut self, run: &Run) -> Result<(), ExecError> {
        if std::mem::replace(&mut self.used, true) {
            return Err(ExecError::new(Code::BadInput, "A call runs once; bind the program again."));
        }
        caught(run, || self.execute_steps(run))
    }

    /// As [`Call::execute`], for a call whose inputs outlive it.
    pub(super) fn execute_again(&mut self, run: &Run) -> Result<(), ExecError> {
        self.used = true;
        caught(run, || self.execute_steps(run))
    }

    fn execute_steps(&mut self, run: &Run) -> Result<(), ExecError> {
        let sizes = std::mem::take(&mut self.sizes);
        let result = self.execute_each(&sizes, run);
        self.sizes = sizes;
        result
    }

    fn execute_each(&mut self, sizes: &[Sizes], run: &Run) -> Result<(), ExecError> {
        let program = self.program.clone();
        let ctx = Context { isa: self.isa, threads: self.threads, cancel: Some(&run.cancelled) };
        for (at, (step, sizes)) in program.steps.iter().zip(sizes).enumerate() {
            let result = ctx.result().and_then(|()| self.execute_step(&ctx, step, sizes));
            result.map_err(|error| ExecError::in_step(error, at, step.kernel.name()))?;
            run.steps.store(u32::try_from(at + 1).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        Ok(())
    }

    fn execute_step(&mut self, ctx: &Context<'_>, step: &Step, sizes: &Sizes) -> Result<(), KernelError> {
        let program = self.program.clone();
        // No output shares a slot with an input or another output, so outputs are lent out whole.
        let mut lent = [const { Buffer::empty() }; 4];
        let mut lengths = [None; 4];
        for ((buffer, length), value) in lent.iter_mut().zip(&mut lengths).zip(&step.outputs) {
            if let Some(value) = *value {
                std::mem::swap(buffer, &mut self.slots[program.values[value].slot]);
                *length = Some(self.lengths[value]);
            }
        }
        let Call { slots, lengths: entries, weights, .. } = &*self;
        let values = StepValues { program: &program, step, slots, lengths: entries, weights };
        let result = run_kernel(ctx, &values, sizes, &mut lent, lengths);
        for (buffer, value) in lent.iter_mut().zip(&step.outputs) {
            if let Some(value) = *value {
                std::mem::swap(buffer, &mut self.slots[program.values[value].slot]);
            }
        }
        result
    }
}

/// A panic in the work as an error that says in which step it happened.
fn caught(run: &Run, work: impl FnOnce() -> Result<(), ExecError>) -> Result<(), ExecError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text =
            payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        let step = run.progress();
        let text = text.unwrap_or("unknown");
        Err(ExecError::new(
            Code::Panic,
            format!("The engine failed in step {step}: {text}. This is a defect; please report it."),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool;

    #[test]
    fn a_panic_in_a_step_or_in_a_thread_of_the_pool_is_an_error_and_the_next_call_works() {
        let run = Run::default();
        let error = caught(&run, || panic!("planted {}", 7)).unwrap_err();
        assert_eq!((error.code, error.message.contains("planted 7")), (Code::Panic, true));
        let error = caught(&run, || {
            pool::run(3, 30, &|task| assert!(task != 11, "planted in a thread"));
            Ok(())
        });
        assert_eq!(error.unwrap_err().code, Code::Panic);
        assert!(caught(&run, || Ok(())).is_ok());
    }
}
