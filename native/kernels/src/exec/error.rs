use std::fmt;

use crate::error::KernelError;

/// What kind of failure, for programs; the message is for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    Cancelled,
    /// More memory than the call's budget, or than the machine has.
    Memory,
    /// The program contradicts itself, or the sizes and weights that it is run with.
    BadProgram,
    /// An input, an output array or a size of the call.
    BadInput,
    MissingParam,
    /// A weight that cannot be what its definition says.
    BadParam,
    /// A weight file that cannot be mapped or is not as long as declared.
    BadFile,
    /// A token, position or index outside its table.
    OutOfRange,
    /// More entries than the call has room for; the message says how many.
    Capacity,
    /// An input with entries that are NaN or infinite, which the method cannot take.
    NotFinite,
    /// An iteration that did not settle.
    NoConvergence,
    /// A defect of this engine; the run is lost, the process is not.
    Panic,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::Cancelled => "cancelled",
            Code::Memory => "memory",
            Code::BadProgram => "bad_program",
            Code::BadInput => "bad_input",
            Code::MissingParam => "missing_param",
            Code::BadParam => "bad_param",
            Code::BadFile => "bad_file",
            Code::OutOfRange => "out_of_range",
            Code::Capacity => "capacity",
            Code::NotFinite => "not_finite",
            Code::NoConvergence => "no_convergence",
            Code::Panic => "panic",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecError {
    pub code: Code,
    pub message: String,
}

impl ExecError {
    pub fn new(code: Code, message: impl Into<String>) -> ExecError {
        ExecError { code, message: message.into() }
    }

    /// Says in which step a kernel failed.
    pub(crate) fn in_step(error: KernelError, step: usize, kernel: &str) -> ExecError {
        let place = format!("step {step} ({kernel})");
        match error {
            KernelError::Cancelled => ExecError::new(Code::Cancelled, "The run was cancelled."),
            KernelError::TooLarge { what } => ExecError::new(
                Code::Memory,
                format!("{place}: {what} does not fit this machine's memory; run fewer rows at once."),
            ),
            // A negative index arrives here wrapped around.
            KernelError::OutOfRange { what, limit, got } => ExecError::new(
                Code::OutOfRange,
                format!(
                    "{place}: {what} {} is outside 0 … {}; check the tokens against the model.",
                    got as isize,
                    limit as i128 - 1
                ),
            ),
            KernelError::Capacity { needed, capacity, .. } => ExecError::new(
                Code::Capacity,
                format!(
                    "{place}: {needed} latents are active, and there is room for {capacity}; give room for {needed}, or run \
                     fewer tokens at once."
                ),
            ),
            KernelError::NotFinite { .. } => {
                ExecError::new(Code::NotFinite, format!("{place}: {error}; look where it comes from."))
            }
            KernelError::NoConvergence { .. } => {
                ExecError::new(Code::NoConvergence, format!("{place}: {error}; rescale its input."))
            }
            error => ExecError::new(Code::BadProgram, format!("{place}: {error}.")),
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for ExecError {}
