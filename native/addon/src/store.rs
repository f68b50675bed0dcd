use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use circuitscope_kernels::exec::{Mapping, Store};
use circuitscope_kernels::half::Dtype;
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use crate::array;
use crate::error::{ErrorCode, bad_input, guarded, js_error};
use crate::info::active_isa;
use crate::number::{size, sizes};

/// What a store holds, in bytes.
#[napi(object)]
pub struct NativeStoreBytes {
    pub mapped: f64,
    pub packed: f64,
    pub owned: f64,
}

/// Weights by name: mapped from files or owned, packed on first use.
#[napi]
pub struct NativeStore {
    pub(crate) store: Arc<Store>,
    /// Where weights that are defined again come in: fresh pages would cost as much as the copy.
    staged: Mutex<Vec<f32>>,
}

/// A larger staging area (64 MiB) is given back after use.
const KEPT_FLOATS: usize = 16 << 20;

#[napi]
impl NativeStore {
    #[napi(constructor)]
    pub fn new() -> napi::Result<Self, ErrorCode> {
        guarded(|| Ok(NativeStore { store: Arc::new(Store::new(active_isa()?)), staged: Mutex::default() }))
    }

    /// Throws `bad_file`.
    #[napi]
    pub fn map_file(&self, path: String, byte_length: f64) -> napi::Result<u32, ErrorCode> {
        guarded(|| {
            let byte_length = size("byteLength", byte_length)? as u64;
            let file = self.store.map_file(Path::new(&path), byte_length).map_err(js_error)?;
            u32::try_from(file).map_err(|_| bad_input("This store maps too many files."))
        })
    }

    /// Throws `bad_file`, `bad_param`.
    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn define_mapped(
        &self,
        name: String,
        file: f64,
        byte_offset: f64,
        dtype: String,
        offset: f64,
        shape: Vec<f64>,
        strides: Vec<f64>,
    ) -> napi::Result<(), ErrorCode> {
        guarded(|| {
            let dtype = match dtype.as_str() {
                "f32" => Dtype::F32,
                "bf16" => Dtype::Bf16,
                "f16" => Dtype::F16,
                _ => return Err(bad_input(format!("{name}: the type {dtype:?} is none of f32, bf16, f16."))),
            };
            let mapping = Mapping {
                file: size("file", file)?,
                byte_offset: size("byteOffset", byte_offset)?,
                dtype,
                offset: size("offset", offset)?,
            };
            let (shape, strides) = (sizes("shape", &shape)?, sizes("strides", &strides)?);
            self.store.define_mapped(&name, mapping, &shape, &strides).map_err(js_error)
        })
    }

    /// Copies the data. A dense weight that is defined again with its old shape keeps its memory while no run uses it.
    /// Throws `bad_param`, `bad_input`.
    #[napi]
    pub fn define_owned(
        &self,
        name: String,
        data: Unknown<'_>,
        shape: Vec<f64>,
        strides: Vec<f64>,
    ) -> napi::Result<(), ErrorCode> {
        guarded(|| {
            let (shape, strides) = (sizes("shape", &shape)?, sizes("strides", &strides)?);
            let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
            if self.store.can_redefine(&name, &shape, &strides) {
                array::read_floats(&name, &data, &mut staged)?;
                let defined = self.store.redefine(&name, &staged, &shape).map_err(js_error);
                if staged.capacity() > KEPT_FLOATS {
                    *staged = Vec::new();
                }
                return defined;
            }
            let mut own = Vec::new();
            array::read_floats(&name, &data, &mut own)?;
            self.store.define_owned(&name, own, &shape, &strides).map_err(js_error)
        })
    }

    /// Throws `bad_param`.
    #[napi]
    pub fn define_folded(&self, name: String, shape: Vec<f64>, recipe: String) -> napi::Result<(), ErrorCode> {
        guarded(|| self.store.define_folded(&name, &sizes("shape", &shape)?, &recipe).map_err(js_error))
    }

    /// Forgets a weight; runs that use it keep it until they end.
    #[napi]
    pub fn remove(&self, name: String) {
        self.store.remove(&name);
    }

    #[napi]
    pub fn bytes(&self) -> NativeStoreBytes {
        let bytes = self.store.bytes();
        NativeStoreBytes { mapped: bytes.mapped as f64, packed: bytes.packed as f64, owned: bytes.owned as f64 }
    }
}
