use std::panic::{AssertUnwindSafe, catch_unwind};

use circuitscope_kernels::exec::{Code, ExecError};
use napi::{Env, Error, JsError};

/// What becomes `code` of the JavaScript error.
pub struct ErrorCode(&'static str);

impl AsRef<str> for ErrorCode {
    fn as_ref(&self) -> &str {
        self.0
    }
}

pub fn js_error(error: ExecError) -> Error<ErrorCode> {
    Error::new(ErrorCode(error.code.name()), error.message)
}

pub fn bad_input(message: impl Into<String>) -> Error<ErrorCode> {
    js_error(ExecError::new(Code::BadInput, message))
}

/// The same error where only a plain one fits, its code kept: inside the completion of an asynchronous task.
pub fn in_task(env: Env, error: ExecError) -> Error {
    Error::from(JsError::from(js_error(error)).into_unknown(env))
}

/// Runs `body`; a panic, which must not cross into JavaScript, becomes an error with the code `panic`.
pub fn guarded<T>(body: impl FnOnce() -> napi::Result<T, ErrorCode>) -> napi::Result<T, ErrorCode> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        Err(js_error(ExecError::new(Code::Panic, "The engine failed. This is a defect; please report it.")))
    })
}
