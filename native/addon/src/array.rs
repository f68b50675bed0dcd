//! Typed arrays, looked at anew at every use: between two calls JavaScript may detach, shrink or move their memory, and
//! a SharedArrayBuffer may change under our hands. So entries are copied one by one, and no pointer outlives a call. The
//! other way round, what a program made may leave with its memory: nothing of ours reads that again.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use circuitscope_kernels::exec::{Code, Entries, EntriesMut, ExecError, GivenAway};
use napi::bindgen_prelude::{FromNapiValue, Unknown};
use napi::{Env, JsValue, sys};

use crate::error::{ErrorCode, bad_input, js_error};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    I32,
    F64,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::F32 => "Float32Array",
            Kind::I32 => "Int32Array",
            Kind::F64 => "Float64Array",
        }
    }

    fn size(self) -> usize {
        match self {
            Kind::F32 | Kind::I32 => 4,
            Kind::F64 => 8,
        }
    }

    fn typed(self) -> sys::napi_typedarray_type {
        match self {
            Kind::F32 => sys::TypedarrayType::float32_array,
            Kind::I32 => sys::TypedarrayType::int32_array,
            Kind::F64 => sys::TypedarrayType::float64_array,
        }
    }
}

/// The memory of a typed array at this moment; valid until JavaScript runs again.
struct Memory<'a, T>(&'a [T]);

/// Entries that JavaScript may change while they are looked at.
trait Cell {}
impl Cell for AtomicU32 {}
impl Cell for AtomicU64 {}

/// Finds the memory of a typed array of this kind, and of this length if one is expected. T has the size of the kind.
fn memory<'a, T: Cell>(
    what: &str,
    array: &'a Unknown<'_>,
    kind: Kind,
    length: Option<usize>,
) -> napi::Result<Memory<'a, T>, ErrorCode> {
    let raw = array.value();
    let wrong = || bad_input(format!("{what} is not a {}.", kind.name()));
    let mut is_array = false;
    // SAFETY: `raw` holds the environment and the value of the call that we are in.
    let status = unsafe { sys::napi_is_typedarray(raw.env, raw.value, &mut is_array) };
    if status != sys::Status::napi_ok || !is_array {
        return Err(wrong());
    }
    let (mut found_type, mut found_length, mut data, mut buffer, mut offset) =
        (0, 0, ptr::null_mut(), ptr::null_mut(), 0);
    // SAFETY: as above, and the value is a typed array.
    let status = unsafe {
        sys::napi_get_typedarray_info(
            raw.env,
            raw.value,
            &mut found_type,
            &mut found_length,
            &mut data,
            &mut buffer,
            &mut offset,
        )
    };
    assert_eq!(size_of::<T>(), kind.size(), "cells are as large as the entries");
    if status != sys::Status::napi_ok || found_type != kind.typed() {
        return Err(wrong());
    }
    let length = length.unwrap_or(found_length);
    if found_length != length {
        return Err(bad_input(format!(
            "{what} has {found_length} entries, where {length} are needed (an array whose buffer was transferred has none)."
        )));
    }
    if length == 0 {
        return Ok(Memory(&[]));
    }
    if data.is_null() || data.addr() % align_of::<T>() != 0 {
        return Err(bad_input(format!("{what} has no memory that can be read.")));
    }
    // SAFETY: the engine says that `length` entries of this kind begin at `data`, and T is as large as one; no JavaScript runs on this thread while
    // the result lives, so they stay there, and other threads that share the buffer only make values change, which
    // atomics allow.
    Ok(Memory(unsafe { std::slice::from_raw_parts(data.cast::<T>(), length) }))
}

/// Copies an array into entries of the same kind and number.
pub fn read(what: &str, array: &Unknown<'_>, entries: EntriesMut<'_>) -> napi::Result<(), ErrorCode> {
    match entries {
        EntriesMut::F32(to) => {
            let from = memory::<AtomicU32>(what, array, Kind::F32, Some(to.len()))?;
            for (to, from) in to.iter_mut().zip(from.0) {
                *to = f32::from_bits(from.load(Ordering::Relaxed));
            }
        }
        EntriesMut::I32(to) => {
            let from = memory::<AtomicU32>(what, array, Kind::I32, Some(to.len()))?;
            for (to, from) in to.iter_mut().zip(from.0) {
                *to = from.load(Ordering::Relaxed) as i32;
            }
        }
        EntriesMut::F64(to) => {
            let from = memory::<AtomicU64>(what, array, Kind::F64, Some(to.len()))?;
            for (to, from) in to.iter_mut().zip(from.0) {
                *to = f64::from_bits(from.load(Ordering::Relaxed));
            }
        }
    }
    Ok(())
}

/// Copies entries into an array of the same kind and number.
pub fn write(what: &str, array: &Unknown<'_>, entries: Entries<'_>) -> napi::Result<(), ErrorCode> {
    match entries {
        Entries::F32(from) => {
            let to = memory::<AtomicU32>(what, array, Kind::F32, Some(from.len()))?;
            for (to, from) in to.0.iter().zip(from) {
                to.store(from.to_bits(), Ordering::Relaxed);
            }
        }
        Entries::I32(from) => {
            let to = memory::<AtomicU32>(what, array, Kind::I32, Some(from.len()))?;
            for (to, from) in to.0.iter().zip(from) {
                to.store(*from as u32, Ordering::Relaxed);
            }
        }
        Entries::F64(from) => {
            let to = memory::<AtomicU64>(what, array, Kind::F64, Some(from.len()))?;
            for (to, from) in to.0.iter().zip(from) {
                to.store(from.to_bits(), Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// A new array with these entries.
pub fn copied(env: Env, entries: Entries<'_>) -> napi::Result<Unknown<'static>, ErrorCode> {
    let (kind, start, length) = match entries {
        Entries::F32(of) => (Kind::F32, of.as_ptr().cast::<u8>(), of.len()),
        Entries::I32(of) => (Kind::I32, of.as_ptr().cast(), of.len()),
        Entries::F64(of) => (Kind::F64, of.as_ptr().cast(), of.len()),
    };
    let bytes = length * kind.size();
    let (mut data, mut buffer) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the environment is that of the call that we are in.
    let status = unsafe { sys::napi_create_arraybuffer(env.raw(), bytes, &mut data, &mut buffer) };
    if status != sys::Status::napi_ok || (bytes > 0 && data.is_null()) {
        return Err(no_memory(bytes));
    }
    if bytes > 0 {
        // SAFETY: both are `bytes` long, and nobody else knows of the new one.
        unsafe { ptr::copy_nonoverlapping(start, data.cast::<u8>(), bytes) };
    }
    typed(env, kind, buffer, length)
}

/// An array whose memory is that of the entries, and goes back to the system when the array is collected.
pub fn over(env: Env, mut given: GivenAway) -> napi::Result<Unknown<'static>, ErrorCode> {
    let (kind, start, length) = match given.entries_mut() {
        EntriesMut::F32(of) => (Kind::F32, of.as_mut_ptr().cast::<u8>(), of.len()),
        EntriesMut::I32(of) => (Kind::I32, of.as_mut_ptr().cast(), of.len()),
        EntriesMut::F64(of) => (Kind::F64, of.as_mut_ptr().cast(), of.len()),
    };
    let bytes = length * kind.size();
    let hint = Box::into_raw(Box::new(given));
    let mut buffer = ptr::null_mut();
    // SAFETY: the memory is that of `hint`, which lives until `collected` gets it, and nothing else reads or writes it.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(env.raw(), start.cast(), bytes, Some(collected), hint.cast(), &mut buffer)
    };
    if status == sys::Status::napi_ok {
        return typed(env, kind, buffer, length);
    }
    // SAFETY: it was made by `into_raw` above, and the runtime did not take it.
    let mut given = unsafe { Box::from_raw(hint) };
    if status != sys::Status::napi_no_external_buffers_allowed {
        return Err(no_memory(bytes));
    }
    copied(
        env,
        match given.entries_mut() {
            EntriesMut::F32(of) => Entries::F32(of),
            EntriesMut::I32(of) => Entries::I32(of),
            EntriesMut::F64(of) => Entries::F64(of),
        },
    )
}

/// The runtime's last word on an array of `over`, on whichever thread it collects.
unsafe extern "C" fn collected(_: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `into_raw` in `over`; a runtime calls this once.
    drop(unsafe { Box::from_raw(hint.cast::<GivenAway>()) });
}

fn typed(env: Env, kind: Kind, buffer: sys::napi_value, length: usize) -> napi::Result<Unknown<'static>, ErrorCode> {
    let mut array = ptr::null_mut();
    // SAFETY: the buffer was made in this call and holds `length` entries of this kind.
    let status = unsafe { sys::napi_create_typedarray(env.raw(), kind.typed(), length, buffer, 0, &mut array) };
    if status != sys::Status::napi_ok {
        return Err(no_memory(length * kind.size()));
    }
    // SAFETY: a value of this environment and call, which returns it.
    unsafe { Unknown::from_napi_value(env.raw(), array) }.map_err(|_| no_memory(length * kind.size()))
}

fn no_memory(bytes: usize) -> napi::Error<ErrorCode> {
    js_error(ExecError::new(Code::Memory, format!("The runtime gave no array of {bytes} bytes for an output.")))
}

/// The entries of a Float32Array, in place of what `to` held; one whose buffer was transferred has none.
pub fn read_floats(what: &str, array: &Unknown<'_>, to: &mut Vec<f32>) -> napi::Result<(), ErrorCode> {
    let from = memory::<AtomicU32>(what, array, Kind::F32, None)?;
    to.clear();
    to.extend(from.0.iter().map(|entry| f32::from_bits(entry.load(Ordering::Relaxed))));
    Ok(())
}

/// The entries of a Float32Array as bits, of `length` if one is expected; valid until JavaScript runs again.
pub fn bits<'a>(what: &str, array: &'a Unknown<'_>, length: Option<usize>) -> napi::Result<&'a [AtomicU32], ErrorCode> {
    memory(what, array, Kind::F32, length).map(|memory| memory.0)
}
