//! Products of two activations, neither packed beforehand. The chains are those of [`crate::gemm`].

use crate::error::KernelError;
use crate::gemm::{Context, RowsMut, SharedFloats, extent};
use crate::half::Dtype;
use crate::isa::Isa;
use crate::micro::{self, Micro};
use crate::pack::same;
use crate::pool;
use crate::scratch::with_scratch;
use crate::sweep::{Blocks, Sweep, ZeroRun, copy_line, pack_block};

/// What an element of A that is exactly ±0 does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zeros {
    /// It is multiplied like any other number: 0 · NaN is NaN.
    Multiply,
    /// It reads nothing: its step of the chain is left out, whatever stands in B. For attention weights.
    Skip,
}

/// Element (i, j) of a matrix is `data[i * row + j * column]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub column: usize,
}

/// Element (o, i, r, j) of a batch of matrices is `data[o * batch[0] + i / share * batch[1] + r * row + j * column]`.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub data: &'a [f32],
    pub batch: [usize; 2],
    /// How many neighbours in the inner batch read the same matrix (query heads of one key/value head); at least 1.
    pub share: usize,
    pub row: usize,
    pub column: usize,
}

/// Element (o, i, r, j) of a batch of results is `data[o * batch[0] + i * batch[1] + r * row + j]`.
#[derive(Debug)]
pub struct BatchMut<'a> {
    pub data: &'a mut [f32],
    pub batch: [usize; 2],
    pub row: usize,
}

/// `[m, n, k]` of one product.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

/// C[o, i] = A[o, i] · B[o, i] for all o < batch[0], i < batch[1].
pub fn bmm(
    ctx: &Context<'_>,
    batch: [usize; 2],
    sizes: Sizes,
    a: Batch<'_>,
    b: Batch<'_>,
    c: BatchMut<'_>,
    zeros: Zeros,
) -> Result<(), KernelError> {
    let Sizes { m, n, k } = sizes;
    check_batch("batch of A", &a, batch, [m, k])?;
    check_batch("batch of B", &b, batch, [k, n])?;
    check_disjoint(&c, [batch[0], batch[1], m, n])?;
    ctx.result()?;
    if batch.contains(&0) || m == 0 || n == 0 {
        return Ok(());
    }
    // No overflow: each product has elements of C of its own.
    let products = batch[0] * batch[1];
    let micro = micro::of(ctx.isa);
    let work = products.saturating_mul(m).saturating_mul(n).saturating_mul(k);
    let threads = if work < 1 << 16 { 1 } else { ctx.threads };
    // Products are cut into runs of rows only when there are too few of them to go round.
    let wanted_runs = if threads > 1 { (3 * threads).div_ceil(products) } else { 1 };
    let run = m.div_ceil(wanted_runs).next_multiple_of(micro.mr);
    let runs = m.div_ceil(run);
    let out = SharedFloats::new(c.data.as_mut_ptr());
    let short = std::sync::atomic::AtomicBool::new(false);
    pool::run(threads, products * runs, &|task| {
        let (product, first) = (task / runs, task % runs * run);
        let (o, i) = (product / batch[1], product % batch[1]);
        let a_start = o * a.batch[0] + i / a.share * a.batch[1] + first * a.row;
        let b_start = o * b.batch[0] + i / b.share * b.batch[1];
        let sizes = Sizes { m: run.min(m - first), n, k };
        let a = View { data: a.data.get(a_start..).unwrap_or_default(), row: a.row, column: a.column };
        let b = View { data: b.data.get(b_start..).unwrap_or_default(), row: b.row, column: b.column };
        // SAFETY: the strides of C were checked to stay inside it and to give each task elements of its own.
        let done = unsafe {
            let c_start = out.get().add(o * c.batch[0] + i * c.batch[1] + first * c.row);
            multiply(ctx, micro, sizes, a, b, c_start, c.row, zeros, false)
        };
        if done.is_none() {
            short.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    if short.into_inner() {
        return Err(KernelError::TooLarge { what: "packed operands" });
    }
    ctx.result()
}

/// C = A · B on the calling thread: the piece from which fused kernels are made.
pub fn product(
    ctx: &Context<'_>,
    sizes: Sizes,
    a: View<'_>,
    b: View<'_>,
    c: RowsMut<'_>,
    zeros: Zeros,
) -> Result<(), KernelError> {
    product_from(ctx, sizes, a, b, c, zeros, false)
}

/// C += A · B: as [`product`], but every chain continues from what stands in C.
pub fn product_onto(
    ctx: &Context<'_>,
    sizes: Sizes,
    a: View<'_>,
    b: View<'_>,
    c: RowsMut<'_>,
    zeros: Zeros,
) -> Result<(), KernelError> {
    product_from(ctx, sizes, a, b, c, zeros, true)
}

fn product_from(
    ctx: &Context<'_>,
    sizes: Sizes,
    a: View<'_>,
    b: View<'_>,
    c: RowsMut<'_>,
    zeros: Zeros,
    onto: bool,
) -> Result<(), KernelError> {
    let Sizes { m, n, k } = sizes;
    same("rows of C", m, c.rows)?;
    check_view("A", a.data.len(), [(m, a.row), (k, a.column)])?;
    check_view("B", b.data.len(), [(k, b.row), (n, b.column)])?;
    if extent(m, c.step, n)? > c.data.len() {
        return Err(KernelError::OutOfRange { what: "rows of C", limit: c.data.len(), got: extent(m, c.step, n)? });
    }
    if m > 1 && c.step < n {
        return Err(KernelError::Overlap { what: "rows of C" });
    }
    ctx.result()?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    // SAFETY: C was checked and is held uniquely by this call.
    let done = unsafe { multiply(ctx, micro::of(ctx.isa), sizes, a, b, c.data.as_mut_ptr(), c.step, zeros, onto) };
    done.ok_or(KernelError::TooLarge { what: "packed operands" })?;
    ctx.result()
}

/// That the last element of a view with these (count, stride) lies below `limit`.
fn check_view<const D: usize>(what: &'static str, limit: usize, dims: [(usize, usize); D]) -> Result<(), KernelError> {
    if dims.iter().any(|&(count, _)| count == 0) {
        return Ok(());
    }
    let end = dims.iter().try_fold(0usize, |end, &(count, stride)| end.checked_add(stride.checked_mul(count - 1)?));
    match end {
        None => Err(KernelError::TooLarge { what }),
        Some(last) if last >= limit => Err(KernelError::OutOfRange { what, limit, got: last }),
        Some(_) => Ok(()),
    }
}

fn check_batch(
    what: &'static str,
    x: &Batch<'_>,
    batch: [usize; 2],
    [rows, columns]: [usize; 2],
) -> Result<(), KernelError> {
    if x.share == 0 {
        return Err(KernelError::OutOfRange { what: "share of a batch", limit: usize::MAX, got: 0 });
    }
    let inner = batch[1].div_ceil(x.share);
    check_view(what, x.data.len(), [(batch[0], x.batch[0]), (inner, x.batch[1]), (rows, x.row), (columns, x.column)])
}

/// That C lies inside its data and no two of its elements share an address: sorted by stride, each dimension must step
/// over everything that the smaller ones reach.
fn check_disjoint(c: &BatchMut<'_>, [outer, inner, rows, columns]: [usize; 4]) -> Result<(), KernelError> {
    let mut dims = [(outer, c.batch[0]), (inner, c.batch[1]), (rows, c.row), (columns, 1)];
    check_view("batch of C", c.data.len(), dims)?;
    if dims.iter().any(|&(count, _)| count == 0) {
        return Ok(());
    }
    dims.sort_by_key(|&(_, stride)| stride);
    let mut reach = 0;
    for (count, stride) in dims {
        if count > 1 && stride <= reach {
            return Err(KernelError::Overlap { what: "batch of C" });
        }
        reach += stride * count.saturating_sub(1);
    }
    Ok(())
}

/// With no more row blocks than this, B with adjacent columns is read where it lies: copying it into panels pays only
/// when many blocks read the copy.
const BLOCKS_WORTH_PACKING: usize = 4;

/// `None` when there is no memory for the packed operands.
///
/// # Safety
/// A `[m, k]` and B `[k, n]` lie inside their data. Rows of `n` floats at `c + r * c_step`, r < m, are writable and touched
/// by nobody else. m and n are not 0.
#[allow(clippy::too_many_arguments)]
unsafe fn multiply(
    ctx: &Context<'_>,
    micro: &'static Micro,
    Sizes { m, n, k }: Sizes,
    a: View<'_>,
    b: View<'_>,
    c: *mut f32,
    c_step: usize,
    zeros: Zeros,
    onto: bool,
) -> Option<()> {
    let nr = micro.nr;
    let blocks = Blocks::new(m, micro.mr);
    // Columns of B read in place: whole panels only, since a tile loads all of its lanes.
    let direct = if b.column == 1 && k > 0 && blocks.count <= BLOCKS_WORTH_PACKING { n / nr * nr } else { 0 };
    let b_len = (n - direct).div_ceil(nr).checked_mul(nr)?.checked_mul(k)?.next_multiple_of(16);
    with_scratch(m.checked_mul(k)?.checked_add(b_len)?, |scratch| {
        let (b_packed, a_packed) = scratch.split_at_mut(b_len);
        let mut runs = Vec::new();
        if k > 0 {
            for block in 0..blocks.count {
                let rows = blocks.range(block);
                let out = &mut a_packed[rows.start * k..rows.end * k];
                let count = rows.len();
                pack_block(ctx.isa, a.data, rows, a.row, a.column, k, out);
                if zeros == Zeros::Skip {
                    runs.push(ZeroRun::find(ctx.isa, out, count));
                }
            }
            for (panel, out) in b_packed.chunks_exact_mut(nr * k).enumerate() {
                let first = direct + panel * nr;
                pack_panel(ctx.isa, b, first..n.min(first + nr), nr, out);
            }
        }
        let in_place = Sweep {
            micro,
            dtype: Dtype::F32,
            zeros: (zeros == Zeros::Skip && k > 0).then_some(&runs),
            k,
            blocks,
            a: a_packed.as_ptr(),
            b: b.data.as_ptr().cast(),
            panel_step: nr * 4,
            b_step: b.row * 4,
            columns: 0..direct,
            bias: None,
            c,
            c_step,
            onto,
            cancel: ctx.cancel,
        };
        let packed = Sweep {
            b: b_packed.as_ptr().cast(),
            panel_step: nr * k * 4,
            b_step: nr * 4,
            columns: 0..n - direct,
            c: c.wrapping_add(direct),
            ..in_place
        };
        for sweep in [in_place, packed] {
            // SAFETY: A was packed to its full size; the panels are whole ones inside B, or were packed above; C is the
            // caller's promise, and the two sweeps write different columns of it.
            unsafe { sweep.group(0..blocks.count, sweep.panels()) };
        }
    })
}

/// Copies columns of B to `out` = `[k][nr]`, zeros in the lanes beyond them.
fn pack_panel(isa: Isa, b: View<'_>, columns: std::ops::Range<usize>, nr: usize, out: &mut [f32]) {
    let (width, k) = (columns.len(), out.len() / nr);
    if width == nr && b.column != 1 {
        // The columns of B are the rows of its transpose.
        return pack_block(isa, b.data, columns, b.column, b.row, k, out);
    }
    for (i, out) in out.chunks_exact_mut(nr).enumerate() {
        let start = i * b.row + columns.start * b.column;
        if b.column == 1 {
            copy_line(&b.data[start..start + width], out);
            continue;
        }
        for (lane, out) in out[..width].iter_mut().enumerate() {
            *out = b.data[start + lane * b.column];
        }
        out[width..].fill(0.0);
    }
}
