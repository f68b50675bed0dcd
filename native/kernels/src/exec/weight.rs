//! One weight: as it is stored, then packed or as a vector, made on first use.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use memmap2::Mmap;

use super::folding::Folding;
use super::stored_lines::StoredLines;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::half::Dtype;
use crate::isa::Isa;
use crate::ops::Table;
use crate::pack::{MatrixSource, PackedMatrix};
use crate::screen::{Bits, Screen};

/// Where the elements are before they are packed.
#[derive(Clone)]
pub(super) enum Raw {
    Mapped {
        file: Arc<Mmap>,
        byte_offset: usize,
        dtype: Dtype,
    },
    Owned(Arc<Vec<f32>>),
    /// Nowhere: they are computed of other weights'.
    Folded(Arc<Folding>),
}

impl Raw {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Raw::Mapped { file, byte_offset, .. } => &file[*byte_offset..],
            // SAFETY: a float is four initialised bytes without padding, and the borrow is carried over.
            Raw::Owned(data) => unsafe {
                std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data.as_slice()))
            },
            Raw::Folded(_) => &[],
        }
    }

    pub(super) fn dtype(&self) -> Dtype {
        match self {
            Raw::Mapped { dtype, .. } => *dtype,
            Raw::Owned(_) | Raw::Folded(_) => Dtype::F32,
        }
    }
}

/// One weight. Once packed, the panels are all there is of it in memory: of the matrix, of its transpose, or of both where
/// it is multiplied with from either side.
pub(crate) struct Weight {
    name: String,
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    /// `None` when the owned data has been packed.
    raw: Mutex<Option<Raw>>,
    /// Held while packing, so that two calls do not pack the same matrix.
    packing: Mutex<()>,
    packed: OnceLock<Arc<PackedMatrix>>,
    /// [N, K]
    transposed: OnceLock<Arc<PackedMatrix>>,
    /// The same for a first look in few bits; `None` where nothing bounds it.
    screens: [OnceLock<Option<Arc<Screen>>>; 2],
    /// Panels of an earlier definition, whose memory the next packing takes.
    spare: Mutex<Vec<PackedMatrix>>,
    vector: OnceLock<Arc<Vec<f32>>>,
}

impl Weight {
    /// Element (i, j, …) is number `offset + i·strides[0] + j·strides[1] + …` of `raw`; the store has checked that.
    pub(super) fn new(name: &str, shape: &[usize], strides: &[usize], offset: usize, raw: Raw) -> Weight {
        Weight {
            name: name.to_owned(),
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset,
            raw: Mutex::new(Some(raw)),
            packing: Mutex::new(()),
            packed: OnceLock::new(),
            transposed: OnceLock::new(),
            screens: Default::default(),
            spare: Mutex::default(),
            vector: OnceLock::new(),
        }
    }

    pub(super) fn packed_bytes(&self) -> u64 {
        let made = [&self.packed, &self.transposed].into_iter().filter_map(OnceLock::get);
        let spare = self.spare().iter().map(|packed| packed.bytes() as u64).sum::<u64>();
        let screens = self.screens.iter().filter_map(|screen| screen.get()?.as_ref());
        let screens = screens.map(|screen| screen.bytes() as u64).sum::<u64>();
        made.map(|packed| packed.bytes() as u64).sum::<u64>() + spare + screens
    }

    pub(super) fn owned_bytes(&self) -> u64 {
        let vector = self.vector.get().map_or(0, |vector| 4 * vector.len() as u64);
        let raw = if let Some(Raw::Owned(data)) = &*self.raw() { 4 * data.len() as u64 } else { 0 };
        vector + raw
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The stored matrix that another weight is computed of; `None` where it is none, or not stored any more.
    pub(super) fn lines(&self) -> Option<StoredLines> {
        let (&[k, n], &[sk, sn]) = (self.shape.as_slice(), self.strides.as_slice()) else { return None };
        let raw = self.raw().clone().filter(|raw| !matches!(raw, Raw::Folded(_)))?;
        Some(StoredLines { raw, offset: self.offset, k, n, sk, sn })
    }

    fn raw(&self) -> MutexGuard<'_, Option<Raw>> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PackedMatrix>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The matrix [K, N] in panels, or its transpose [N, K]; made on first use, on the threads of `ctx`.
    pub(crate) fn packed(&self, ctx: &Context<'_>, transposed: bool) -> Result<Arc<PackedMatrix>, KernelError> {
        let (wanted, other) =
            if transposed { (&self.transposed, &self.packed) } else { (&self.packed, &self.transposed) };
        if let Some(packed) = wanted.get() {
            return Ok(packed.clone());
        }
        if transposed && other.get().is_none() && matches!(&*self.raw(), Some(Raw::Folded(_))) {
            // Its transpose is made of its panels.
            self.packed(ctx, false)?;
        }
        let _alone = self.packing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = wanted.get() {
            return Ok(packed.clone());
        }
        let &[k, n] = self.shape.as_slice() else {
            return Err(KernelError::Shape { what: "dimensions of a matrix", expected: 2, got: self.shape.len() });
        };
        let size = if transposed { [n, k] } else { [k, n] };
        let spare = {
            let mut spare = self.spare();
            let fitting = spare.iter().position(|spare| [spare.k(), spare.n()] == size);
            fitting.map(|at| spare.swap_remove(at))
        };
        if let Some(other) = other.get() {
            let packed = Arc::new(other.transposed(ctx, spare)?);
            return Ok(wanted.get_or_init(|| packed).clone());
        }
        let raw = self.raw().clone();
        let (Some(raw), &[sk, sn]) = (raw, self.strides.as_slice()) else {
            return Err(KernelError::Shape { what: "dimensions of a matrix", expected: 2, got: self.shape.len() });
        };
        if let Raw::Folded(folding) = &raw {
            let Folding::Matrix(matrix) = &**folding else {
                return Err(KernelError::Shape { what: "dimensions of a matrix", expected: 2, got: 1 });
            };
            let packed = Arc::new(matrix.packed(ctx, spare)?);
            return Ok(wanted.get_or_init(|| packed).clone());
        }
        let [(k, sk), (n, sn)] = if transposed { [(n, sn), (k, sk)] } else { [(k, sk), (n, sn)] };
        let source = MatrixSource { bytes: raw.bytes(), dtype: raw.dtype(), offset: self.offset, k, n, sk, sn };
        // Where columns lie one after the other (a stored [out, in] matrix), their pages go as soon as they are packed, so
        // that a large unembedding is never in memory twice.
        let columns_in_order = sk == 1 && sn >= k;
        let packed = Arc::new(PackedMatrix::pack_each(ctx, source, spare, &|columns| {
            if let (true, Raw::Mapped { file, byte_offset, dtype }) = (columns_in_order, &raw) {
                let first = byte_offset + (self.offset + columns.start * sn) * dtype.bytes();
                release(file, first, columns.len() * sn * dtype.bytes());
            }
        })?);
        let packed = wanted.get_or_init(|| packed).clone();
        match &raw {
            Raw::Mapped { file, byte_offset, dtype } => {
                let first = byte_offset + self.offset * dtype.bytes();
                let last = (k.saturating_sub(1) * sk + n.saturating_sub(1) * sn + 1) * dtype.bytes();
                release(file, first, if k * n == 0 { 0 } else { last });
            }
            Raw::Owned(_) | Raw::Folded(_) => *self.raw() = None,
        }
        Ok(packed)
    }

    /// The matrix for a first look in few bits, made on first use beside its panels.
    pub(crate) fn screen(&self, ctx: &Context<'_>, bits: Bits) -> Result<Option<Arc<Screen>>, KernelError> {
        let made = &self.screens[bits as usize];
        if let Some(screen) = made.get() {
            return Ok(screen.clone());
        }
        let screen = Screen::of(ctx, &*self.packed(ctx, false)?, bits)?.map(Arc::new);
        Ok(made.get_or_init(|| screen).clone())
    }

    /// Row `row` of the matrix from panels that were made, whichever they are; `None` when there are none.
    fn panel_row(&self, row: usize, out: &mut [f32]) -> Option<Result<(), KernelError>> {
        let plain = self.packed.get().map(|packed| packed.gather_row(row, out));
        plain.or_else(|| self.transposed.get().map(|packed| packed.gather_column(row, out)))
    }

    /// Column `column`, likewise.
    fn panel_column(&self, column: usize, out: &mut [f32]) -> Option<Result<(), KernelError>> {
        let plain = self.packed.get().map(|packed| packed.gather_column(column, out));
        plain.or_else(|| self.transposed.get().map(|packed| packed.gather_row(column, out)))
    }

    /// The same weight with other elements, dense and row-major: what was packed is packed again in the memory that it
    /// has. `self` was the only user of it.
    pub(super) fn redefined(mut self, data: &[f32], threads: usize, isa: Isa) -> Result<Weight, KernelError> {
        let mut step = 1;
        for (stride, size) in self.strides.iter_mut().zip(&self.shape).rev() {
            *stride = step;
            step *= size;
        }
        self.offset = 0;
        self.vector = OnceLock::new();
        self.screens = Default::default();
        let mut made: Vec<PackedMatrix> = std::mem::take(self.spare.get_mut().unwrap_or_else(PoisonError::into_inner));
        let taken = |slot: &mut OnceLock<Arc<PackedMatrix>>| {
            slot.take().and_then(|packed| Arc::try_unwrap(packed).ok()).filter(|packed| packed.dtype() == Dtype::F32)
        };
        let (plain, transposed) = (taken(&mut self.packed), taken(&mut self.transposed));
        let raw = self.raw.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (true, &[k, n]) = (plain.is_some() || transposed.is_some(), self.shape.as_slice()) {
            // SAFETY: a float is four initialised bytes without padding, and the borrow is carried over.
            let bytes = unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) };
            let source = MatrixSource { bytes, dtype: Dtype::F32, offset: 0, k, n, sk: n, sn: 1 };
            let ctx = Context { isa, threads, cancel: None };
            // Both would cost twice now; the other one is made of the first when it is asked for.
            if let Some(plain) = plain {
                self.packed = Arc::new(PackedMatrix::pack_each(&ctx, source, Some(plain), &|_| {})?).into();
                made.extend(transposed);
            } else {
                let source = MatrixSource { k: n, n: k, sk: 1, sn: n, ..source };
                self.transposed = Arc::new(PackedMatrix::pack_each(&ctx, source, transposed, &|_| {})?).into();
            }
            *raw = None;
        } else {
            let own = match raw {
                Some(Raw::Owned(own)) => Arc::get_mut(own).filter(|own| own.len() == data.len()),
                _ => None,
            };
            match own {
                Some(own) => own.copy_from_slice(data),
                None => *raw = Some(Raw::Owned(Arc::new(data.to_vec()))),
            }
        }
        self.spare = Mutex::new(made);
        Ok(self)
    }

    /// All elements in row-major order; made on first use, unless they are held like that already.
    pub(crate) fn vector(&self) -> Result<Arc<Vec<f32>>, KernelError> {
        if let Some(vector) = self.vector.get() {
            return Ok(vector.clone());
        }
        let count: usize = self.shape.iter().product();
        let raw = self.raw().clone();
        if let Some(Raw::Owned(data)) = &raw
            && data.len() == count
            && self.is_dense()
        {
            return Ok(data.clone());
        }
        if let Some(Raw::Folded(folding)) = &raw
            && let Folding::Bias(bias) = &**folding
        {
            let data = bias.values().into_iter().map(|value| value as f32).collect();
            return Ok(self.vector.get_or_init(|| Arc::new(data)).clone());
        }
        let mut data = Vec::new();
        data.try_reserve_exact(count).map_err(|_| KernelError::TooLarge { what: "vector" })?;
        data.resize(count, 0.0);
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        for (row, out) in data.chunks_exact_mut(width).enumerate() {
            match &raw {
                Some(Raw::Folded(folding)) => folding.row(row, out)?,
                Some(raw) => self.read_raw(raw, self.row_start(row), *self.strides.last().unwrap_or(&1), out),
                // Only a matrix is packed, and a packed matrix has two dimensions.
                None => self.panel_row(row, out).ok_or(KernelError::TooLarge { what: "vector" })??,
            }
        }
        Ok(self.vector.get_or_init(|| Arc::new(data)).clone())
    }

    /// Whether row-major order is the order in memory.
    fn is_dense(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let dense = size <= 1 || stride == step;
            step *= size;
            dense
        })
    }

    /// The element at the beginning of row `row`, rows being counted over all dimensions but the last.
    fn row_start(&self, row: usize) -> usize {
        let leading = self.shape.len() - 1;
        let mut rest = row;
        (0..leading).rev().fold(self.offset, |at, axis| {
            let index = rest % self.shape[axis];
            rest /= self.shape[axis];
            at + index * self.strides[axis]
        })
    }

    fn read_raw(&self, raw: &Raw, start: usize, stride: usize, out: &mut [f32]) {
        let (bytes, dtype) = (raw.bytes(), raw.dtype());
        let size = dtype.bytes();
        // Entries side by side are read in one go: rows of a table are gathered thousands at a time.
        if let (1, Some(row)) = (stride, bytes.get(start * size..(start + out.len()) * size)) {
            for (out, entry) in out.iter_mut().zip(row.chunks_exact(size)) {
                *out = dtype.widen(entry);
            }
            return;
        }
        for (i, out) in out.iter_mut().enumerate() {
            *out = dtype.widen(&bytes[(start + i * stride) * dtype.bytes()..]);
        }
    }
}

/// A matrix as a table: its rows, or its columns where `transposed`.
pub(crate) struct WeightTable {
    weight: Arc<Weight>,
    transposed: bool,
    isa: Isa,
    /// Looked up once: rows are read by the thousand, on all threads.
    raw: Option<Raw>,
}

impl WeightTable {
    pub(crate) fn new(weight: Arc<Weight>, transposed: bool, isa: Isa) -> WeightTable {
        let raw = weight.raw().clone();
        WeightTable { weight, transposed, isa, raw }
    }

    fn sizes(&self) -> [usize; 2] {
        match (self.weight.shape.as_slice(), self.transposed) {
            (&[rows, columns], false) => [rows, columns],
            (&[rows, columns], true) => [columns, rows],
            _ => [0, 0],
        }
    }
}

impl Table for WeightTable {
    fn count(&self) -> usize {
        self.sizes()[0]
    }

    fn width(&self) -> usize {
        self.sizes()[1]
    }

    fn read(&self, row: usize, out: &mut [f32]) -> Result<(), KernelError> {
        let weight = &self.weight;
        let packed = if self.transposed { weight.panel_column(row, out) } else { weight.panel_row(row, out) };
        if let Some(result) = packed {
            return result;
        }
        if let Some(raw) = &self.raw {
            if let (Raw::Folded(folding), false) = (raw, self.transposed) {
                return folding.row(row, out);
            }
            if let Raw::Folded(_) = raw {
                // Columns of a computed matrix are read from its panels.
                weight.packed(&Context { isa: self.isa, threads: 1, cancel: None }, false)?;
                return weight.panel_column(row, out).unwrap_or(Err(KernelError::TooLarge { what: "table" }));
            }
            let (along, across) = if self.transposed { (0, 1) } else { (1, 0) };
            let (Some(&along), Some(&across)) = (weight.strides.get(along), weight.strides.get(across)) else {
                return Err(KernelError::Shape { what: "dimensions of a table", expected: 2, got: weight.shape.len() });
            };
            weight.read_raw(raw, weight.offset + row * across, along, out);
            return Ok(());
        }
        // Packed meanwhile by another call: panels were made before the elements were given up.
        let packed = if self.transposed { weight.panel_column(row, out) } else { weight.panel_row(row, out) };
        packed.unwrap_or(Err(KernelError::TooLarge { what: "table" }))
    }
}

/// Gives back the pages that lie wholly inside a part of a mapping. They come from the file again if they are read again.
#[cfg(unix)]
pub(super) fn release(file: &Mmap, first: usize, len: usize) {
    const PAGE: usize = 4096;
    let (from, to) = (first.next_multiple_of(PAGE), (first + len).min(file.len()) / PAGE * PAGE);
    if from < to {
        // SAFETY: the map is read-only and backed by its file, so dropping pages loses nothing. Where pages are larger
        // than assumed the system refuses the range, and they stay.
        let _ = unsafe { file.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
    }
}

#[cfg(not(unix))]
pub(super) fn release(_: &Mmap, _: usize, _: usize) {}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.name, self.shape)
    }
}
