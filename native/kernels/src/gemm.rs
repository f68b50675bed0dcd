//! Products with a packed matrix. One row or many, one thread or many: the same chains, so the same bits.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::epilogue::Epilogue;
use crate::error::KernelError;
use crate::half::Dtype;
use crate::isa::Isa;
use crate::micro;
use crate::pack::{PackedMatrix, in_range, same};
use crate::pool;
use crate::scratch::with_scratch;
use crate::sweep::{Blocks, Sweep, pack_block};

/// Who computes, and how to stop it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub isa: Isa,
    pub threads: usize,
    /// Polled before every tile.
    pub cancel: Option<&'a AtomicBool>,
}

impl Context<'_> {
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub fn result(&self) -> Result<(), KernelError> {
        if self.is_cancelled() { Err(KernelError::Cancelled) } else { Ok(()) }
    }
}

/// `rows` rows to read, row r from `data[r * step]` on.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub step: usize,
}

/// `rows` rows to write, row r from `data[r * step]` on; what lies between them is left alone.
#[derive(Debug)]
pub struct RowsMut<'a> {
    pub data: &'a mut [f32],
    pub rows: usize,
    pub step: usize,
}

/// Which part of a packed matrix to multiply with. Bias and output have one column for each of `n`.
#[derive(Clone, Debug)]
pub struct Part {
    pub k: Range<usize>,
    pub n: Range<usize>,
}

/// Below this many multiply-adds waking other threads costs more than it gains.
pub(crate) const WORTH_SHARING: usize = 1 << 16;
/// At most this much of A is packed at once (8 MiB), or one block of rows.
pub(crate) const PACKED_FLOATS: usize = 2 << 20;
/// A task holds no more row blocks, for which a panel is kept in L2, and no more panels, so that threads even out.
const GROUP_BLOCKS: usize = 16;
const GROUP_PANELS: usize = 16;

/// C[m, n] = A[m, k] · W[k, n] + bias[n]: each element a chain of fused multiply-adds from +0.0 over ascending k, then
/// one addition of its bias.
pub fn matmul(
    ctx: &Context<'_>,
    a: Rows<'_>,
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    matmul_part(ctx, a, w, Part { k: 0..w.k(), n: 0..w.n() }, bias, c)
}

/// C = function(beta · onto + alpha · (A · W + bias)): the chains and the bias of [`matmul`], then what [`Epilogue`] says, with
/// the bits of the steps one after the other. What stood in C is never read.
pub fn matmul_then(
    ctx: &Context<'_>,
    a: Rows<'_>,
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    then: Epilogue<'_>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    if let Some(onto) = then.addend() {
        same("rows of what a product is added to", a.rows, onto.rows)?;
        check_rows(onto, w.n())?;
    }
    part_then(ctx, a, w, Part { k: 0..w.k(), n: 0..w.n() }, bias, then, c)
}

/// As [`matmul`] with the rows `part.k` and columns `part.n` of W. A column's chain is the one that it has in the
/// product with all columns.
pub fn matmul_part(
    ctx: &Context<'_>,
    a: Rows<'_>,
    w: &PackedMatrix,
    part: Part,
    bias: Option<&[f32]>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    part_then(ctx, a, w, part, bias, Epilogue::default(), c)
}

fn part_then(
    ctx: &Context<'_>,
    a: Rows<'_>,
    w: &PackedMatrix,
    part: Part,
    bias: Option<&[f32]>,
    then: Epilogue<'_>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    check_range("k range of a packed matrix", &part.k, w.k())?;
    check_range("n range of a packed matrix", &part.n, w.n())?;
    let micro = micro::of(ctx.isa);
    same("panel width of a packed matrix", micro.nr, w.nr())?;
    let row_bytes = w.nr() * w.dtype().bytes();
    // Row part.k.start of panel 0; `panel_step` leads from there to the same row of each other panel.
    let b = w.stored().as_ptr().wrapping_add(part.k.start * row_bytes);
    let source = Source { dtype: w.dtype(), b, panel_step: w.k() * row_bytes, b_step: row_bytes };
    // SAFETY: every panel of `w` has k rows of nr elements, and the ranges were checked against its size.
    unsafe { rows_times_panels(ctx, a, source, part.k.len(), part.n, bias, then, c) }
}

/// C[m, i] = A[m, k] · W[:, columns[i]] + bias[i]: the chains that [`matmul`] gives those columns.
pub fn matmul_columns(
    ctx: &Context<'_>,
    a: Rows<'_>,
    w: &PackedMatrix,
    columns: &[usize],
    bias: Option<&[f32]>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    for &column in columns {
        in_range("column of a packed matrix", column, w.n())?;
    }
    check_rows(a, w.k())?;
    check_output(&c, a.rows, columns.len(), bias)?;
    let (k, nr) = (w.k(), micro::of(ctx.isa).nr);
    for (group, columns) in columns.chunks(nr).enumerate() {
        let gathered = with_scratch((nr + 1) * k, |scratch| {
            let (panel, one) = scratch.split_at_mut(nr * k);
            panel.fill(0.0);
            for (lane, &column) in columns.iter().enumerate() {
                w.gather_column(column, one)?;
                for (row, &value) in panel.chunks_exact_mut(nr).zip(&*one) {
                    row[lane] = value;
                }
            }
            let source = Source { dtype: Dtype::F32, b: panel.as_ptr().cast(), panel_step: 0, b_step: nr * 4 };
            let bias = bias.map(|bias| &bias[group * nr..group * nr + columns.len()]);
            let data = c.data.get_mut(group * nr..).unwrap_or_default();
            let c = RowsMut { data, rows: c.rows, step: c.step };
            // SAFETY: `panel` has k rows of nr floats and the columns fit in this one panel.
            unsafe { rows_times_panels(ctx, a, source, k, 0..columns.len(), bias, Epilogue::default(), c) }
        });
        gathered.ok_or(KernelError::TooLarge { what: "gathered columns" })??;
    }
    ctx.result()
}

/// Where the panels of B are, see [`Sweep`].
struct Source {
    dtype: Dtype,
    b: *const u8,
    panel_step: usize,
    b_step: usize,
}

fn check_range(what: &'static str, range: &Range<usize>, limit: usize) -> Result<(), KernelError> {
    if range.start > range.end || range.end > limit {
        return Err(KernelError::OutOfRange { what, limit, got: range.start.max(range.end) });
    }
    Ok(())
}

/// Floats from the start of the first row to the end of the last.
pub(crate) fn extent(rows: usize, step: usize, columns: usize) -> Result<usize, KernelError> {
    if rows == 0 || columns == 0 {
        return Ok(0);
    }
    let too_large = KernelError::TooLarge { what: "rows of a matrix" };
    step.checked_mul(rows - 1).and_then(|last| last.checked_add(columns)).ok_or(too_large)
}

pub(crate) fn check_rows(a: Rows<'_>, k: usize) -> Result<(), KernelError> {
    let needed = extent(a.rows, a.step, k)?;
    if needed > a.data.len() {
        return Err(KernelError::OutOfRange { what: "rows of A", limit: a.data.len(), got: needed });
    }
    Ok(())
}

pub(crate) fn check_output(
    c: &RowsMut<'_>,
    rows: usize,
    columns: usize,
    bias: Option<&[f32]>,
) -> Result<(), KernelError> {
    same("rows of C", rows, c.rows)?;
    if let Some(bias) = bias {
        same("length of the bias", columns, bias.len())?;
    }
    let needed = extent(rows, c.step, columns)?;
    if needed > c.data.len() {
        return Err(KernelError::OutOfRange { what: "rows of C", limit: c.data.len(), got: needed });
    }
    if rows > 1 && c.step < columns {
        return Err(KernelError::Overlap { what: "rows of C" });
    }
    Ok(())
}

/// # Safety
/// What `then` adds has a row for each row of A and a column for each of `columns`. Every panel that holds one of those has `k` rows of `nr` readable elements.
#[allow(clippy::too_many_arguments)]
unsafe fn rows_times_panels(
    ctx: &Context<'_>,
    a: Rows<'_>,
    source: Source,
    k: usize,
    columns: Range<usize>,
    bias: Option<&[f32]>,
    then: Epilogue<'_>,
    c: RowsMut<'_>,
) -> Result<(), KernelError> {
    check_rows(a, k)?;
    check_output(&c, a.rows, columns.len(), bias)?;
    ctx.result()?;
    if a.rows == 0 || columns.is_empty() {
        return Ok(());
    }
    let (micro, c_start) = (micro::of(ctx.isa), c.data.as_mut_ptr());
    let work = a.rows.saturating_mul(columns.len()).saturating_mul(k);
    let threads = if work < WORTH_SHARING { 1 } else { ctx.threads };
    let rows_at_once = (PACKED_FLOATS / k.max(1) / micro.mr).max(1) * micro.mr;

    for start in (0..a.rows).step_by(rows_at_once) {
        let rows = rows_at_once.min(a.rows - start);
        let blocks = Blocks::new(rows, micro.mr);
        let sweep = |packed: *const f32| Sweep {
            micro,
            dtype: source.dtype,
            zeros: None,
            k,
            blocks,
            a: packed,
            b: source.b,
            panel_step: source.panel_step,
            b_step: source.b_step,
            columns: columns.clone(),
            bias,
            c: c_start.wrapping_add(start * c.step),
            c_step: c.step,
            onto: false,
            cancel: ctx.cancel,
        };
        let c_rows = SharedFloats::new(c_start.wrapping_add(start * c.step));
        let finish = |rows: Range<usize>, columns: Range<usize>| {
            // SAFETY: C was checked and is held uniquely by this call, and no two tasks of a sweep share a tile.
            unsafe { then.finish_block(ctx.isa, (&c_rows, c.step), start, rows, columns) };
        };
        let finish: Option<&Finish<'_>> = if then.is_nothing() { None } else { Some(&finish) };
        if rows == 1 {
            // One row is its own packed form.
            let row = if k == 0 { &[] } else { &a.data[start * a.step..start * a.step + k] };
            // SAFETY: C was checked and is held uniquely by this call; the panels are the caller's promise.
            unsafe { spread_then(&sweep(row.as_ptr()), threads, finish) };
        } else {
            let len = rows.checked_mul(k).ok_or(KernelError::TooLarge { what: "packed rows" })?;
            with_scratch(len, |packed| {
                pack_rows(ctx.isa, a, start, blocks, k, threads, packed);
                // SAFETY: as for one row; `packed` holds rows * k floats.
                unsafe { spread_then(&sweep(packed.as_ptr()), threads, finish) };
            })
            .ok_or(KernelError::TooLarge { what: "packed rows" })?;
        }
        ctx.result()?;
    }
    Ok(())
}

/// Packs rows `start .. start + blocks.rows` of A into `[block][k][row of the block]`.
fn pack_rows(isa: Isa, a: Rows<'_>, start: usize, blocks: Blocks, k: usize, threads: usize, packed: &mut [f32]) {
    if k == 0 {
        return;
    }
    let out = SharedFloats::new(packed.as_mut_ptr());
    let groups = blocks.count.div_ceil(GROUP_BLOCKS);
    pool::run(threads, groups, &|group| {
        for block in group * GROUP_BLOCKS..blocks.count.min((group + 1) * GROUP_BLOCKS) {
            let rows = blocks.range(block);
            // SAFETY: `packed` holds blocks.rows * k floats, the block's rows are below blocks.rows, and no two blocks
            // share a row.
            let out = unsafe { std::slice::from_raw_parts_mut(out.get().add(rows.start * k), rows.len() * k) };
            pack_block(isa, &a.data[start * a.step..], rows, a.step, 1, k, out);
        }
    });
}

/// Rows of A packed once, to be multiplied with one stretch of columns after the other.
pub(crate) struct PackedRows<'a> {
    pub(crate) blocks: Blocks,
    k: usize,
    data: &'a [f32],
}

/// Packs the rows of A, which the caller keeps to about [`PACKED_FLOATS`].
pub(crate) fn with_packed_rows<R>(
    ctx: &Context<'_>,
    a: Rows<'_>,
    k: usize,
    body: impl FnOnce(PackedRows<'_>) -> R,
) -> Result<R, KernelError> {
    check_rows(a, k)?;
    let too_large = KernelError::TooLarge { what: "packed rows" };
    let len = a.rows.checked_mul(k).ok_or(too_large.clone())?;
    let blocks = Blocks::new(a.rows, micro::of(ctx.isa).mr);
    with_scratch(len, |packed| {
        pack_rows(ctx.isa, a, 0, blocks, k, if len < WORTH_SHARING { 1 } else { ctx.threads }, packed);
        body(PackedRows { blocks, k, data: packed })
    })
    .ok_or(too_large)
}

impl PackedRows<'_> {
    /// The products of the rows in `blocks` with the columns of W, on the calling thread. Chains and bias as in [`matmul`].
    pub(crate) fn times(
        &self,
        ctx: &Context<'_>,
        blocks: Range<usize>,
        w: &PackedMatrix,
        columns: Range<usize>,
        bias: Option<&[f32]>,
        c: RowsMut<'_>,
    ) -> Result<(), KernelError> {
        let micro = micro::of(ctx.isa);
        check_range("blocks of packed rows", &blocks, self.blocks.count)?;
        check_range("n range of a packed matrix", &columns, w.n())?;
        same("panel width of a packed matrix", micro.nr, w.nr())?;
        same("rows of a packed matrix", self.k, w.k())?;
        if blocks.is_empty() || columns.is_empty() {
            return ctx.result();
        }
        let first = self.blocks.range(blocks.start).start;
        let rows = self.blocks.range(blocks.end - 1).end - first;
        check_output(&c, rows, columns.len(), bias)?;
        let sweep = Sweep {
            micro,
            dtype: w.dtype(),
            zeros: None,
            k: self.k,
            blocks: self.blocks,
            a: self.data.as_ptr(),
            b: w.stored().as_ptr(),
            panel_step: w.k() * w.nr() * w.dtype().bytes(),
            b_step: w.nr() * w.dtype().bytes(),
            columns,
            bias,
            // The sweep counts rows from the first that is packed.
            c: c.data.as_mut_ptr().wrapping_sub(first * c.step),
            c_step: c.step,
            onto: false,
            cancel: ctx.cancel,
        };
        // SAFETY: `data` holds the rows of all blocks; the panels of `w` are whole; the rows of these blocks lie in `c`, which
        // was checked and is held uniquely.
        unsafe { sweep.group(blocks, sweep.panels()) };
        ctx.result()
    }
}

/// Runs a sweep over groups of tiles.
///
/// # Safety
/// As [`Sweep::group`], for all blocks and panels.
pub(crate) unsafe fn spread(sweep: &Sweep<'_>, threads: usize) {
    // SAFETY: the caller's promise.
    unsafe { spread_then(sweep, threads, None) }
}

/// Called with the rows and columns of C, counted from its first, whose chains are whole.
type Finish<'a> = dyn Fn(Range<usize>, Range<usize>) + Sync + 'a;

/// As [`spread`], and hands each group of tiles over before the next one pushes it out of the cache.
///
/// # Safety
/// As [`spread`].
unsafe fn spread_then(sweep: &Sweep<'_>, threads: usize, finish: Option<&Finish<'_>>) {
    let panels = sweep.panels();
    let row_groups = sweep.blocks.count.div_ceil(GROUP_BLOCKS);
    // About four tasks a thread, so that a thread that was held up does not hold up the rest.
    let per_task = (panels.len() * row_groups).div_ceil(if threads > 1 { 4 * threads } else { 1 });
    let width = per_task.clamp(1, GROUP_PANELS);
    let column_groups = panels.len().div_ceil(width);
    pool::run(threads, row_groups * column_groups, &|task| {
        let (row_group, column_group) = (task / column_groups, task % column_groups);
        let first_block = row_group * GROUP_BLOCKS;
        let first_panel = panels.start + column_group * width;
        let blocks = first_block..sweep.blocks.count.min(first_block + GROUP_BLOCKS);
        let last_panel = panels.end.min(first_panel + width);
        // SAFETY: the caller vouches for all blocks and panels; no two tasks share a tile.
        unsafe { sweep.group(blocks.clone(), first_panel..last_panel) };
        if let Some(finish) = finish.filter(|_| !sweep.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))) {
            let (wanted, nr) = (&sweep.columns, sweep.micro.nr);
            let columns =
                wanted.start.max(first_panel * nr) - wanted.start..wanted.end.min(last_panel * nr) - wanted.start;
            finish(sweep.blocks.range(blocks.start).start..sweep.blocks.range(blocks.end - 1).end, columns);
        }
    });
}

pub(crate) struct SharedFloats(*mut f32);

// SAFETY: the pointer is only used for ranges that no two tasks share.
unsafe impl Sync for SharedFloats {}

impl SharedFloats {
    pub(crate) fn new(start: *mut f32) -> SharedFloats {
        SharedFloats(start)
    }

    pub(crate) fn get(&self) -> *mut f32 {
        self.0
    }
}
