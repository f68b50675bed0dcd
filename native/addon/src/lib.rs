//! The Node-API binding: converts values, checks what JavaScript may have got wrong, and hands over to the kernels.
//! Threads of ours never touch JavaScript; `../index.ts` gives the types.
#![cfg_attr(test, allow(dead_code, reason = "exports are registered for the loader, which a test build lacks"))]

mod adamw;
mod array;
mod call;
mod error;
mod info;
mod measure;
mod number;
mod program;
mod run;
mod store;
