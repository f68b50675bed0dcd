//! Runs compiled programs: what is asked is JSON, what is computed is checked beforehand, what comes out is copied.

mod attrs;
mod buffer;
mod check;
mod check_gradient;
mod dispatch;
mod doubles;
mod error;
mod experts;
mod folding;
mod folding_recipe;
mod kernel;
mod measure;
mod program;
mod run;
mod shapes;
mod store;
mod stored_lines;
mod vision;
mod weight;

pub use error::{Code, ExecError};
pub use measure::{MAX_SAMPLES, Timing};
pub use program::Program;
pub use run::{Call, Entries, EntriesMut, GivenAway, Limits, Run};
pub use store::{Mapping, Store, StoreBytes};
