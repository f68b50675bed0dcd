//! A weight matrix laid out for the microkernels, in the type it was stored in.

use crate::error::KernelError;
use crate::gemm::Context;
use crate::half::Dtype;
use crate::isa::Isa;
use crate::memory::{ALIGN, Memory};
use crate::micro;
use crate::pool;
use crate::transpose::transpose;
use std::ops::Range;

/// A matrix `[k, n]` inside little-endian bytes of any alignment: element (i, j) is number
/// `offset + i * sk + j * sn`. Checked when packed.
#[derive(Clone, Copy, Debug)]
pub struct MatrixSource<'a> {
    pub bytes: &'a [u8],
    pub dtype: Dtype,
    /// In elements.
    pub offset: usize,
    pub k: usize,
    pub n: usize,
    /// Elements from one row to the next.
    pub sk: usize,
    /// Elements from one column to the next.
    pub sn: usize,
}

impl MatrixSource<'_> {
    /// That every element lies inside the bytes, and that all byte positions fit a `usize`.
    fn check(&self) -> Result<(), KernelError> {
        if self.k == 0 || self.n == 0 {
            return Ok(());
        }
        let too_large = KernelError::TooLarge { what: "matrix source" };
        let end = |stride: usize, count: usize| stride.checked_mul(count - 1).ok_or(too_large.clone());
        let needed = end(self.sk, self.k)?
            .checked_add(end(self.sn, self.n)?)
            .and_then(|last| last.checked_add(self.offset)?.checked_add(1)?.checked_mul(self.dtype.bytes()))
            .ok_or(too_large)?;
        if needed > self.bytes.len() {
            return Err(KernelError::OutOfRange { what: "matrix source bytes", limit: self.bytes.len(), got: needed });
        }
        Ok(())
    }
}

/// Gets the columns of a panel, the panel's width and the panel [k][width].
pub type FillPanel<'a> = dyn Fn(Range<usize>, usize, &mut [f32]) + Sync + 'a;

/// Panels `[ceil(n / nr)][k][nr]`, the last one filled up with zeros.
pub struct PackedMatrix {
    k: usize,
    n: usize,
    nr: usize,
    dtype: Dtype,
    /// `None` where there is nothing to hold.
    data: Option<Memory>,
}

impl PackedMatrix {
    /// Packs for the panel width of `isa`, on the calling thread.
    pub fn pack(isa: Isa, source: MatrixSource<'_>) -> Result<PackedMatrix, KernelError> {
        Self::pack_with(&Context { isa, threads: 1, cancel: None }, source)
    }

    /// Packs for the panel width of `ctx.isa`, panels spread over `ctx.threads`.
    pub fn pack_with(ctx: &Context<'_>, source: MatrixSource<'_>) -> Result<PackedMatrix, KernelError> {
        PackedMatrix::pack_each(ctx, source, None, &|_| {})
    }

    /// The same, in the memory of `spare` if it is a matrix of this size and type. `packed` hears of each range of columns
    /// that is done, on the thread that did it, so that the source can give its memory back while the rest is packed.
    pub fn pack_each(
        ctx: &Context<'_>,
        source: MatrixSource<'_>,
        spare: Option<PackedMatrix>,
        packed: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<PackedMatrix, KernelError> {
        source.check()?;
        let MatrixSource { k, n, dtype, .. } = source;
        let mut matrix = PackedMatrix::empty(ctx, [k, n], dtype, spare)?;
        let nr = matrix.nr;
        matrix.fill(ctx, &|columns, out| {
            match dtype.bytes() {
                4 => fill_panel::<4>(&source, columns.clone(), nr, out),
                _ => fill_panel::<2>(&source, columns.clone(), nr, out),
            }
            packed(columns);
        })?;
        Ok(matrix)
    }

    /// Packs elements that `fill` computes.
    pub fn pack_computed(
        ctx: &Context<'_>,
        size: [usize; 2],
        spare: Option<PackedMatrix>,
        fill: &FillPanel<'_>,
    ) -> Result<PackedMatrix, KernelError> {
        let mut matrix = PackedMatrix::empty(ctx, size, Dtype::F32, spare)?;
        let nr = matrix.nr;
        matrix.fill(ctx, &|columns, out| {
            // SAFETY: any four bytes are an f32; what is not aligned comes back apart, and panels begin on whole cache lines.
            let (before, floats, after) = unsafe { out.align_to_mut::<f32>() };
            assert!(before.is_empty() && after.is_empty(), "a panel that begins inside a float");
            fill(columns, nr, floats);
        })?;
        Ok(matrix)
    }

    /// The transpose [n, k], in the memory of `spare` if it is a matrix of this size and type.
    pub fn transposed(&self, ctx: &Context<'_>, spare: Option<PackedMatrix>) -> Result<PackedMatrix, KernelError> {
        let mut matrix = PackedMatrix::empty(ctx, [self.n, self.k], self.dtype, spare)?;
        same("panel width of a packed matrix", matrix.nr, self.nr)?;
        matrix.fill(ctx, &|columns, out| match self.dtype.bytes() {
            4 => transpose_panel::<4>(ctx.isa, self, columns, out),
            _ => transpose_panel::<2>(ctx.isa, self, columns, out),
        })?;
        Ok(matrix)
    }

    /// A matrix whose padding is zero and whose elements are anything.
    fn empty(
        ctx: &Context<'_>,
        [k, n]: [usize; 2],
        dtype: Dtype,
        spare: Option<PackedMatrix>,
    ) -> Result<PackedMatrix, KernelError> {
        let nr = micro::of(ctx.isa).nr;
        if let Some(spare) = spare
            && (spare.k, spare.n, spare.nr, spare.dtype) == (k, n, nr, dtype)
        {
            return Ok(spare);
        }
        let panel_bytes = nr.checked_mul(k).and_then(|len| len.checked_mul(dtype.bytes()));
        let total = panel_bytes.and_then(|bytes| bytes.checked_mul(n.div_ceil(nr))?.checked_next_multiple_of(ALIGN));
        let too_large = KernelError::TooLarge { what: "packed matrix" };
        let Some(total) = total else { return Err(too_large) };
        let data = if total == 0 { None } else { Some(Memory::zeroed(total).ok_or(too_large)?) };
        Ok(PackedMatrix { k, n, nr, dtype, data })
    }

    /// Calls `body` with the columns of each panel and its bytes, on the threads of `ctx`.
    fn fill(&mut self, ctx: &Context<'_>, body: &(dyn Fn(Range<usize>, &mut [u8]) + Sync)) -> Result<(), KernelError> {
        let (n, nr, panel_bytes) = (self.n, self.nr, self.nr * self.k * self.dtype.bytes());
        let shared = SharedBytes(self.data.as_mut().map_or(&mut [][..], Memory::bytes_mut).as_mut_ptr());
        pool::run(ctx.threads, n.div_ceil(nr), &|panel| {
            if ctx.is_cancelled() {
                return;
            }
            // SAFETY: panel < ceil(n / nr), so the range lies inside the bytes of all panels that `empty` reserved, and no
            // two tasks share a panel.
            let out = unsafe { std::slice::from_raw_parts_mut(shared.get().add(panel * panel_bytes), panel_bytes) };
            body(panel * nr..n.min((panel + 1) * nr), out);
        });
        ctx.result()
    }

    pub fn k(&self) -> usize {
        self.k
    }

    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns of a panel.
    pub fn nr(&self) -> usize {
        self.nr
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Memory held, padding included.
    pub fn bytes(&self) -> usize {
        self.stored().len()
    }

    /// All panels, as stored.
    pub(crate) fn stored(&self) -> &[u8] {
        self.data.as_ref().map_or(&[], Memory::bytes)
    }

    /// The stored bytes of panel `index` from row `from` on: `[k - from][nr]`.
    pub(crate) fn panel(&self, index: usize, from: usize) -> &[u8] {
        let row = self.nr * self.dtype.bytes();
        let start = (index * self.k + from) * row;
        &self.stored()[start..(index + 1) * self.k * row]
    }

    /// W[k, n], widened to f32.
    pub fn element(&self, k: usize, n: usize) -> Result<f32, KernelError> {
        in_range("row of a packed matrix", k, self.k)?;
        in_range("column of a packed matrix", n, self.n)?;
        Ok(self.widen(k, n))
    }

    /// W[:, column], widened: the embedding of a token where W is the unembedding `[model, vocab]`.
    pub fn gather_column(&self, column: usize, out: &mut [f32]) -> Result<(), KernelError> {
        in_range("column of a packed matrix", column, self.n)?;
        same("length of a gathered column", self.k, out.len())?;
        let (step, bytes) = (self.nr * self.dtype.bytes(), self.panel(column / self.nr, 0));
        for (out, row) in out.iter_mut().zip(bytes.chunks_exact(step)) {
            *out = self.dtype.widen(&row[column % self.nr * self.dtype.bytes()..]);
        }
        Ok(())
    }

    /// W[row, :], widened.
    pub fn gather_row(&self, row: usize, out: &mut [f32]) -> Result<(), KernelError> {
        in_range("row of a packed matrix", row, self.k)?;
        same("length of a gathered row", self.n, out.len())?;
        for (column, out) in out.iter_mut().enumerate() {
            *out = self.widen(row, column);
        }
        Ok(())
    }

    fn widen(&self, k: usize, n: usize) -> f32 {
        self.dtype.widen(&self.panel(n / self.nr, k)[n % self.nr * self.dtype.bytes()..])
    }
}

pub(crate) fn in_range(what: &'static str, got: usize, limit: usize) -> Result<(), KernelError> {
    if got < limit { Ok(()) } else { Err(KernelError::OutOfRange { what, limit, got }) }
}

pub(crate) fn same(what: &'static str, expected: usize, got: usize) -> Result<(), KernelError> {
    if got == expected { Ok(()) } else { Err(KernelError::Shape { what, expected, got }) }
}

struct SharedBytes(*mut u8);

// SAFETY: the pointer is only used for ranges that no two tasks share.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    fn get(&self) -> *mut u8 {
        self.0
    }
}

/// Copies the columns of one panel, B bytes per element, into `out` = [k][nr]; the padding is left as it is.
fn fill_panel<const B: usize>(source: &MatrixSource<'_>, columns: std::ops::Range<usize>, nr: usize, out: &mut [u8]) {
    let (elements, _) = source.bytes.as_chunks::<B>();
    let (out, _) = out.as_chunks_mut::<B>();
    let (first, width) = (source.offset + columns.start * source.sn, columns.len());
    if source.sn == 1 {
        for (k, out) in out.chunks_exact_mut(nr).enumerate() {
            let start = first + k * source.sk;
            out[..width].copy_from_slice(&elements[start..start + width]);
        }
        return;
    }
    // Sixteen rows at a time: of a transposed source each column then gives one whole cache line.
    for (block, out) in out.chunks_mut(16 * nr).enumerate() {
        let rows = out.len() / nr;
        for column in 0..width {
            let start = first + column * source.sn + block * 16 * source.sk;
            for row in 0..rows {
                out[row * nr + column] = elements[start + row * source.sk];
            }
        }
    }
}

/// Copies rows `columns` of a matrix, B bytes per element, into a panel of its transpose: squares of nr × nr that lie in
/// one piece on either side.
fn transpose_panel<const B: usize>(isa: Isa, from: &PackedMatrix, columns: Range<usize>, out: &mut [u8]) {
    let (nr, width) = (from.nr, columns.len());
    for (panel, out) in out.chunks_mut(nr * nr * B).enumerate() {
        let square = from.panel(panel, columns.start);
        if B == 4 && width == nr {
            // SAFETY: any four bytes are an f32; what is not aligned comes back apart, and there is nothing of that kind in
            // panels, which begin on whole cache lines.
            let (square, out) = unsafe { (square.align_to::<f32>(), out.align_to_mut::<f32>()) };
            assert!(square.0.is_empty() && out.0.is_empty(), "a panel that begins inside a float");
            let lanes = out.1.len() / nr;
            transpose(isa, square.1, nr, [nr, lanes], out.1);
            continue;
        }
        let ((square, _), (out, _)) = (square.as_chunks::<B>(), out.as_chunks_mut::<B>());
        for (lane, out) in out.chunks_exact_mut(nr).enumerate() {
            for (out, line) in out[..width].iter_mut().zip(square.chunks_exact(nr)) {
                *out = line[lane];
            }
        }
    }
}
