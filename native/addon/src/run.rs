use std::sync::Arc;

use circuitscope_kernels::exec::Run;
use napi_derive::napi;

/// One run, to stop it and to see how far it is.
#[napi]
pub struct NativeRun {
    pub(crate) run: Arc<Run>,
}

#[napi]
impl NativeRun {
    #[napi(constructor)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        NativeRun { run: Arc::default() }
    }

    /// Asks the run to stop; its promise rejects with the code `cancelled` within 50 ms.
    #[napi]
    pub fn cancel(&self) {
        self.run.cancel();
    }

    /// Steps that are done.
    #[napi]
    pub fn progress(&self) -> u32 {
        self.run.progress()
    }
}
