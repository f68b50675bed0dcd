//! Measuring, away from JavaScript's thread: the machine itself, and a call that is run many times.

use std::sync::Arc;

use circuitscope_kernels::exec::{Code, ExecError, MAX_SAMPLES, Run};
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::machine::{self, Samples, Traffic};
use circuitscope_kernels::pool::MAX_THREADS;
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

use crate::error::{ErrorCode, bad_input, guarded, in_task};
use crate::info::active_isa;
use crate::number::size;
use crate::run::NativeRun;

/// The most bytes that traffic passes through.
const MAX_BYTES: usize = 4 << 30;

/// What to measure of the machine.
#[napi(object)]
pub struct ProbeOptions {
    /// `fma`, `clock`, `read` or `triad`.
    pub kind: String,
    pub samples: f64,
    pub threads: Option<f64>,
    /// Of the loop of multiplications; the one in use if left out.
    pub isa: Option<String>,
    /// Of all arrays of read and triad together.
    pub bytes: Option<f64>,
}

/// Work of one sample, and how long each took.
#[napi(object)]
pub struct NativeSamples {
    pub work: f64,
    pub ns: Vec<f64>,
}

enum What {
    Fma,
    Clock,
    Memory(Traffic, usize),
}

pub struct Probe {
    what: What,
    isa: Isa,
    threads: usize,
    samples: usize,
    run: Arc<Run>,
}

/// Resolves to nothing where the machine has no such thing. Throws `bad_input`, rejects with `cancelled` or `panic`.
#[napi]
pub fn probe(options: ProbeOptions, run: &NativeRun) -> napi::Result<AsyncTask<Probe>, ErrorCode> {
    guarded(|| {
        let bytes = size("bytes", options.bytes.unwrap_or(0.0))?;
        if bytes > MAX_BYTES {
            return Err(bad_input(format!("Traffic passes through at most {MAX_BYTES} bytes, not {bytes}.")));
        }
        let what = match options.kind.as_str() {
            "fma" => What::Fma,
            "clock" => What::Clock,
            "read" => What::Memory(Traffic::Read, bytes),
            "triad" => What::Memory(Traffic::Triad, bytes),
            other => return Err(bad_input(format!("There is no probe {other}; there are fma, clock, read, triad."))),
        };
        let isa = match &options.isa {
            None => active_isa()?,
            Some(name) => Isa::parse(name).ok_or_else(|| bad_input(format!("There is no instruction set {name}.")))?,
        };
        let threads = size("threads", options.threads.unwrap_or(1.0))?.clamp(1, MAX_THREADS);
        let samples = size("samples", options.samples)?.clamp(1, MAX_SAMPLES);
        Ok(AsyncTask::new(Probe { what, isa, threads, samples, run: run.run.clone() }))
    })
}

impl Probe {
    fn measure(&self) -> Result<Option<Samples>, ExecError> {
        let stop = || self.run.is_cancelled();
        let found = match self.what {
            What::Fma => machine::fma(self.isa, self.threads, self.samples, &stop),
            What::Clock => machine::clock(self.samples, &stop),
            What::Memory(traffic, bytes) => {
                machine::bandwidth(self.isa, traffic, bytes, self.threads, self.samples, &stop)
            }
        };
        if stop() { Err(ExecError::new(Code::Cancelled, "The run was cancelled.")) } else { Ok(found) }
    }
}

impl Task for Probe {
    type Output = Result<Option<Samples>, ExecError>;
    type JsValue = Option<NativeSamples>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.measure()));
        Ok(caught.unwrap_or_else(|_| {
            Err(ExecError::new(Code::Panic, "The engine failed while measuring. This is a defect; please report it."))
        }))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        let found = output.map_err(|error| in_task(env, error))?;
        Ok(found.map(|Samples { work, ns }| NativeSamples { work, ns }))
    }
}
