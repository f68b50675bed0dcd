use std::sync::Arc;

use circuitscope_kernels::exec::Program;
use napi_derive::napi;

use crate::error::{ErrorCode, guarded, js_error};

/// A program that was parsed and checked, ready to be called with any sizes.
#[napi]
pub struct NativeProgram {
    pub(crate) program: Arc<Program>,
}

#[napi]
impl NativeProgram {
    /// Throws `bad_program`.
    #[napi(constructor)]
    pub fn new(json: String) -> napi::Result<Self, ErrorCode> {
        guarded(|| Ok(NativeProgram { program: Arc::new(Program::parse(&json).map_err(js_error)?) }))
    }
}
