//! One call in three strokes, so that no JavaScript memory is held while threads compute: inputs are copied in, the run
//! goes on elsewhere, outputs are copied out. `../index.ts` makes one `execute` of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use circuitscope_kernels::exec::{Call, ExecError, Limits, Run, Timing};
use circuitscope_kernels::pool::MAX_THREADS;
use napi::bindgen_prelude::{AsyncTask, Unknown};
use napi::{Env, Task};
use napi_derive::napi;

use crate::array;
use crate::error::{ErrorCode, bad_input, guarded, in_task, js_error};
use crate::info::default_threads;
use crate::number::size;
use crate::program::NativeProgram;
use crate::run::NativeRun;
use crate::store::NativeStore;

enum State {
    /// Inputs come in; these are still missing.
    Open {
        call: Call,
        missing: HashSet<String>,
    },
    Running,
    Done(Call),
    Failed,
}

/// A program with its sizes bound and its memory taken.
#[napi]
pub struct NativeCall {
    state: Arc<Mutex<State>>,
}

#[napi(object)]
pub struct CallOptions {
    pub threads: Option<f64>,
    pub memory_bytes: Option<f64>,
}

/// How a call is timed; see the kernels.
#[napi(object)]
pub struct CallTiming {
    pub warm_up: f64,
    pub samples: f64,
    pub cold_bytes: f64,
    pub repack: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[napi]
impl NativeCall {
    /// Throws `bad_input`, `bad_program`, `missing_param`, `memory`.
    #[napi(constructor)]
    pub fn new(
        program: &NativeProgram,
        store: &NativeStore,
        sizes: HashMap<String, f64>,
        options: CallOptions,
    ) -> napi::Result<Self, ErrorCode> {
        guarded(|| {
            let sizes = sizes
                .into_iter()
                .map(|(symbol, number)| size(&format!("The size {symbol}"), number).map(|number| (symbol, number)))
                .collect::<napi::Result<HashMap<String, usize>, ErrorCode>>()?;
            let threads = match options.threads {
                None => default_threads()?,
                Some(threads) => size("threads", threads)?.clamp(1, MAX_THREADS),
            };
            let memory_bytes =
                options.memory_bytes.map(|bytes| size("memoryBytes", bytes)).transpose()?.map(|bytes| bytes as u64);
            let limits = Limits { threads, memory_bytes };
            let call = Call::bind(&program.program, &store.store, &sizes, limits).map_err(js_error)?;
            let missing = call.input_names().map(str::to_owned).collect();
            Ok(NativeCall { state: Arc::new(Mutex::new(State::Open { call, missing })) })
        })
    }

    /// Copies an input in. Throws `bad_input`.
    #[napi]
    pub fn read_input(&self, name: String, array: Unknown<'_>) -> napi::Result<(), ErrorCode> {
        guarded(|| {
            let mut state = lock(&self.state);
            let State::Open { call, missing } = &mut *state else {
                return Err(bad_input("Inputs are read before a run, not in it."));
            };
            let Some(entries) = call.input_mut(&name) else {
                return Err(bad_input(format!("The program has no input {name}.")));
            };
            array::read(&format!("The input {name}"), &array, entries)?;
            missing.remove(&name);
            Ok(())
        })
    }

    /// Before the run: that there is such an output. Throws `bad_input`.
    #[napi]
    pub fn check_output(&self, name: String) -> napi::Result<(), ErrorCode> {
        guarded(|| match &*lock(&self.state) {
            State::Open { call, .. } if call.output(&name).is_some() => Ok(()),
            State::Open { .. } => Err(bad_input(format!("The program has no output {name}."))),
            _ => Err(bad_input("Outputs are checked before a run, not in it.")),
        })
    }

    /// After the run: copies an output out. Throws `bad_input`.
    #[napi]
    pub fn write_output(&self, name: String, array: Unknown<'_>) -> napi::Result<(), ErrorCode> {
        guarded(|| {
            let state = lock(&self.state);
            let State::Done(call) = &*state else {
                return Err(bad_input("Outputs are written after a run that went well."));
            };
            let Some(entries) = call.output(&name) else {
                return Err(bad_input(format!("The program has no output {name}.")));
            };
            array::write(&format!("The output {name}"), &array, entries)
        })
    }

    /// After the run: an output as an array of its own, which holds the memory that it was computed in where that is large.
    /// It cannot be read again then. Throws `bad_input`.
    #[napi(ts_return_type = "Float32Array | Int32Array | Float64Array")]
    pub fn take_output(&self, env: Env, name: String) -> napi::Result<Unknown<'static>, ErrorCode> {
        guarded(|| {
            let mut state = lock(&self.state);
            let State::Done(call) = &mut *state else {
                return Err(bad_input("Outputs are taken after a run that went well."));
            };
            if let Some(given) = call.give_away(&name) {
                return array::over(env, given);
            }
            match call.output(&name) {
                Some(entries) => array::copied(env, entries),
                None => Err(bad_input(format!("The program has no output {name}, or it was taken."))),
            }
        })
    }

    /// Runs it many times off this thread and resolves to nanoseconds of each sample. May be asked again; outputs are those
    /// of the last run.
    #[napi]
    pub fn measure(&self, timing: CallTiming, run: &NativeRun) -> napi::Result<AsyncTask<Measure>, ErrorCode> {
        guarded(|| {
            let timing = Timing {
                warm_up: size("warmUp", timing.warm_up)?,
                samples: size("samples", timing.samples)?,
                cold_bytes: size("coldBytes", timing.cold_bytes)?,
                repack: timing.repack,
            };
            let mut state = lock(&self.state);
            let call = match std::mem::replace(&mut *state, State::Running) {
                State::Open { call, missing } if missing.is_empty() => call,
                State::Done(call) => call,
                before => {
                    *state = before;
                    return Err(bad_input("A call is timed when all its inputs are read, one measurement at a time."));
                }
            };
            Ok(AsyncTask::new(Measure { call: Some(call), timing, run: run.run.clone(), state: self.state.clone() }))
        })
    }

    /// Gives the memory of the call back now rather than when this object is collected.
    #[napi]
    pub fn release(&self) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Running) {
            *state = State::Failed;
        }
    }

    /// Computes off this thread. Once; all inputs must have been read.
    #[napi]
    pub fn start(&self, run: &NativeRun) -> napi::Result<AsyncTask<Compute>, ErrorCode> {
        guarded(|| {
            let mut state = lock(&self.state);
            match std::mem::replace(&mut *state, State::Running) {
                State::Open { call, missing } if missing.is_empty() => {
                    Ok(AsyncTask::new(Compute { call: Some(call), run: run.run.clone(), state: self.state.clone() }))
                }
                before => {
                    let names = match &before {
                        State::Open { missing, .. } => missing.iter().cloned().collect::<Vec<_>>().join(", "),
                        _ => String::new(),
                    };
                    *state = before;
                    Err(bad_input(if names.is_empty() {
                        "A call runs once.".into()
                    } else {
                        format!("The program needs the inputs {names}.")
                    }))
                }
            }
        })
    }
}

pub struct Compute {
    call: Option<Call>,
    run: Arc<Run>,
    state: Arc<Mutex<State>>,
}

impl Task for Compute {
    type Output = Result<(), ExecError>;
    type JsValue = ();

    /// On a thread of the host's pool, which only waits while ours compute. Panics are caught inside.
    fn compute(&mut self) -> napi::Result<Self::Output> {
        let Some(mut call) = self.call.take() else { return Ok(Ok(())) };
        let result = call.execute(&self.run);
        *lock(&self.state) = if result.is_ok() { State::Done(call) } else { State::Failed };
        Ok(result)
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        output.map_err(|error| in_task(env, error))
    }
}

pub struct Measure {
    call: Option<Call>,
    timing: Timing,
    run: Arc<Run>,
    state: Arc<Mutex<State>>,
}

impl Task for Measure {
    type Output = Result<Vec<f64>, ExecError>;
    type JsValue = Vec<f64>;

    /// As for [`Compute`].
    fn compute(&mut self) -> napi::Result<Self::Output> {
        let Some(mut call) = self.call.take() else { return Ok(Ok(Vec::new())) };
        let result = call.measure(&self.timing, &self.run);
        *lock(&self.state) = if result.is_ok() { State::Done(call) } else { State::Failed };
        Ok(result)
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        output.map_err(|error| in_task(env, error))
    }
}
