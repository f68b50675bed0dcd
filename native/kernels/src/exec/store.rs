//! The weights of a model: mapped from files in their stored type or owned, packed on first use.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use memmap2::Mmap;

use super::check::checked_product;
use super::error::{Code, ExecError};
use super::folding_recipe::read_folding;
use super::weight::{Raw, Weight};
use crate::half::Dtype;
use crate::isa::Isa;

#[cfg(target_endian = "big")]
compile_error!("weights are little-endian bytes that are read in place");

/// What a store holds, in bytes. `mapped` is address space: pages of packed matrices are given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreBytes {
    pub mapped: u64,
    pub packed: u64,
    pub owned: u64,
}

/// Weights by name. Packed for one instruction set.
pub struct Store {
    isa: Isa,
    files: RwLock<Vec<Arc<Mmap>>>,
    weights: RwLock<HashMap<String, Arc<Weight>>>,
}

/// Where a weight lies in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// From [`Store::map_file`].
    pub file: usize,
    pub byte_offset: usize,
    pub dtype: Dtype,
    /// In elements, behind `byte_offset`.
    pub offset: usize,
}

fn bad<T>(code: Code, message: impl Into<String>) -> Result<T, ExecError> {
    Err(ExecError::new(code, message.into()))
}

impl Store {
    pub fn new(isa: Isa) -> Store {
        Store { isa, files: RwLock::default(), weights: RwLock::default() }
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Maps a file for reading and gives its number. Its length must be the declared one: a shorter file would be a fault
    /// at the first read behind its end. (Cutting it off later is one all the same; no process can defend against that.)
    pub fn map_file(&self, path: &Path, byte_length: u64) -> Result<usize, ExecError> {
        let failed = |error: std::io::Error| {
            ExecError::new(Code::BadFile, format!("{} cannot be mapped: {error}.", path.display()))
        };
        // Asked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return bad(Code::BadFile, format!("{} is not a file.", path.display()));
        }
        let file = File::open(path).map_err(failed)?;
        let check = |found: u64| {
            if found == byte_length {
                return Ok(());
            }
            bad(Code::BadFile, format!("{} has {found} bytes, but was declared with {byte_length}.", path.display()))
        };
        check(file.metadata().map_err(failed)?.len())?;
        // SAFETY: the map is read-only and private to this store; that no other process cuts the file off or rewrites it
        // while it is mapped is the documented duty of whoever owns the file.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        check(file.metadata().map_err(failed)?.len())?;
        check(map.len() as u64)?;
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.push(Arc::new(map));
        Ok(files.len() - 1)
    }

    /// A weight inside a mapped file: element (i, j, …) is number `offset + i·strides[0] + j·strides[1] + …` from
    /// `byte_offset` on. Replaces a weight of the same name.
    pub fn define_mapped(
        &self,
        name: &str,
        mapping: Mapping,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<(), ExecError> {
        let file = {
            let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
            let found = files.get(mapping.file).cloned();
            found.map_or_else(|| bad(Code::BadFile, format!("{name}: no file {} is mapped.", mapping.file)), Ok)?
        };
        let Some(available) = file.len().checked_sub(mapping.byte_offset) else {
            return bad(
                Code::BadParam,
                format!("{name} begins at byte {} of a file of {}.", mapping.byte_offset, file.len()),
            );
        };
        check_extent(name, available / mapping.dtype.bytes(), mapping.offset, shape, strides)?;
        self.insert(
            name,
            shape,
            strides,
            mapping.offset,
            Raw::Mapped { file, byte_offset: mapping.byte_offset, dtype: mapping.dtype },
        );
        Ok(())
    }

    /// A weight of our own. Replaces a weight of the same name.
    pub fn define_owned(
        &self,
        name: &str,
        data: Vec<f32>,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<(), ExecError> {
        check_extent(name, data.len(), 0, shape, strides)?;
        self.insert(name, shape, strides, 0, Raw::Owned(Arc::new(data)));
        Ok(())
    }

    /// A weight that is computed of stored ones of this store when it is packed or read; `recipe` is JSON, see `folding.rs`.
    /// Replaces a weight of the same name.
    pub fn define_folded(&self, name: &str, shape: &[usize], recipe: &str) -> Result<(), ExecError> {
        let folding = read_folding(name, shape, recipe, &|stored| self.find(stored))?;
        self.insert(name, shape, &dense_strides(shape), 0, Raw::Folded(Arc::new(folding)));
        Ok(())
    }

    /// Whether a weight of this name and shape is there, and the strides are those of dense row-major data.
    pub fn can_redefine(&self, name: &str, shape: &[usize], strides: &[usize]) -> bool {
        strides == dense_strides(shape) && self.find(name).is_some_and(|weight| weight.shape() == shape)
    }

    /// As [`Store::define_owned`] for dense row-major data. A weight of this name and shape that no call uses lends its
    /// memory, and its panels are made anew at once: the way of weights that change at every step of a training.
    pub fn redefine(&self, name: &str, data: &[f32], shape: &[usize]) -> Result<(), ExecError> {
        let strides = dense_strides(shape);
        check_extent(name, data.len(), 0, shape, &strides)?;
        let mut weights = self.weights.write().unwrap_or_else(PoisonError::into_inner);
        let old = match weights.remove(name) {
            Some(old) if old.shape() == shape && Some(data.len()) == checked_product(shape) => Arc::into_inner(old),
            _ => None,
        };
        let weight = match old {
            Some(old) => {
                let threads = crate::pool::default_threads().unwrap_or(1);
                let failed = |_| ExecError::new(Code::Memory, format!("The system gave no memory for {name}."));
                old.redefined(data, threads, self.isa).map_err(failed)?
            }
            None => Weight::new(name, shape, &strides, 0, Raw::Owned(Arc::new(data.to_vec()))),
        };
        weights.insert(name.to_owned(), Arc::new(weight));
        Ok(())
    }

    fn insert(&self, name: &str, shape: &[usize], strides: &[usize], offset: usize, raw: Raw) {
        let weight = Weight::new(name, shape, strides, offset, raw);
        self.weights.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::new(weight));
    }

    /// Forgets a weight. Calls that already run keep it until they end.
    pub fn remove(&self, name: &str) -> bool {
        self.weights.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }

    pub fn bytes(&self) -> StoreBytes {
        let mapped =
            self.files.read().unwrap_or_else(PoisonError::into_inner).iter().map(|file| file.len() as u64).sum();
        let mut bytes = StoreBytes { mapped, packed: 0, owned: 0 };
        for weight in self.weights.read().unwrap_or_else(PoisonError::into_inner).values() {
            bytes.packed += weight.packed_bytes();
            bytes.owned += weight.owned_bytes();
        }
        bytes
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Weight>> {
        self.weights.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Of row-major data. A product that overflows belongs to a shape that [`check_extent`] refuses, or to one of no elements.
fn dense_strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().fold(1, |a: usize, &b| a.wrapping_mul(b))).collect()
}

/// That every element lies among the `available` ones, and that they are no more than those: a weight made of repeats
/// could be far larger than its file.
fn check_extent(
    name: &str,
    available: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
) -> Result<(), ExecError> {
    if shape.is_empty() || shape.len() > 8 || shape.len() != strides.len() {
        return bad(Code::BadParam, format!("{name} needs one to eight sizes and as many strides."));
    }
    let Some(count) = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size)) else {
        return bad(Code::BadParam, format!("{name} has more elements than there are addresses."));
    };
    if count == 0 {
        return Ok(());
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |last, (&size, &stride)| last.checked_add((size - 1).checked_mul(stride)?));
    match last {
        Some(last) if last < available && count <= available => Ok(()),
        _ => bad(Code::BadParam, format!("{name} {shape:?} reaches outside the {available} elements that it lies in.")),
    }
}
