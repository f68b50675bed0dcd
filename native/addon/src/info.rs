use circuitscope_kernels::exec::{Code, ExecError};
use circuitscope_kernels::isa::{self, Isa};
use circuitscope_kernels::pool;
use napi_derive::{module_init, napi};

use crate::error::{ErrorCode, guarded, js_error};

#[napi(object)]
pub struct NativeInfo {
    pub version: String,
    /// Instruction set in use; `CIRCUITSCOPE_ISA` pins it.
    pub isa: String,
    /// Those that this processor could run.
    pub isas: Vec<String>,
    /// Threads of a call that asks for no number; `CIRCUITSCOPE_THREADS` sets it.
    pub threads: u32,
    pub cpu: String,
}

/// A panic is caught and comes back as an error with its text: nothing belongs on the terminal of whoever loads us.
#[module_init]
fn init() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// The instruction set of this process, or why the pinned one cannot serve.
pub fn active_isa() -> napi::Result<Isa, ErrorCode> {
    isa::check().map_err(|message| js_error(ExecError::new(Code::BadInput, message)))
}

pub fn default_threads() -> napi::Result<usize, ErrorCode> {
    pool::default_threads().map_err(|message| js_error(ExecError::new(Code::BadInput, message)))
}

#[napi]
pub fn info() -> napi::Result<NativeInfo, ErrorCode> {
    guarded(|| {
        Ok(NativeInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            isa: active_isa()?.name().into(),
            isas: Isa::available().into_iter().map(|isa| isa.name().into()).collect(),
            threads: default_threads()? as u32,
            cpu: processor(),
        })
    })
}

/// As the system names it.
fn processor() -> String {
    let table = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
