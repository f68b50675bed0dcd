use std::fmt;

/// Why a matrix kernel did not run, or did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// The caller's flag was raised; the output holds a mixture of old and new values.
    Cancelled,
    /// Two sizes that must agree do not.
    Shape { what: &'static str, expected: usize, got: usize },
    /// An index, range or view reaches outside what it points into.
    OutOfRange { what: &'static str, limit: usize, got: usize },
    /// A size does not fit the address space, or the memory for it is not there.
    TooLarge { what: &'static str },
    /// More entries than the caller has room for.
    Capacity { what: &'static str, needed: usize, capacity: usize },
    /// An entry that is NaN or infinite where the method needs numbers.
    NotFinite { what: &'static str, at: usize },
    /// An iteration did not settle.
    NoConvergence { what: &'static str },
    /// Distinct elements of an output view share an address.
    Overlap { what: &'static str },
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => write!(f, "cancelled"),
            Self::Shape { what, expected, got } => write!(f, "{what}: expected {expected}, got {got}"),
            Self::OutOfRange { what, limit, got } => write!(f, "{what}: {got} is outside 0..{limit}"),
            Self::TooLarge { what } => write!(f, "{what}: too large for this machine's memory"),
            Self::Capacity { what, needed, capacity } => {
                write!(f, "{what}: needs room for {needed} entries, and there is room for {capacity}")
            }
            Self::NotFinite { what, at } => write!(f, "{what}: entry {at} is not finite"),
            Self::NoConvergence { what } => write!(f, "{what} did not settle"),
            Self::Overlap { what } => write!(f, "{what}: strides make elements share an address"),
        }
    }
}

impl std::error::Error for KernelError {}
