//! CPU kernels of Circuitscope. No N-API here; `README.md` beside `src` lists what each kernel promises.

pub mod bmm;
pub mod epilogue;
pub mod error;
pub mod exec;
pub mod gemm;
pub mod half;
pub mod isa;
pub mod machine;
mod memory;
mod micro;
pub mod ops;
mod over_rows;
pub mod pack;
pub mod pool;
pub mod scratch;
pub mod screen;
mod sweep;
mod transpose;
