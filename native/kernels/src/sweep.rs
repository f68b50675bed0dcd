//! The loops around the microkernels: which tiles, in which order, over which stretch of k. Nothing here may change a
//! bit of the output: a tile always continues the chains of its own elements.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::half::Dtype;
use crate::isa::Isa;
use crate::micro::{self, MAX_COLUMNS, MAX_ROWS, Micro, Tile, TileFn};
use crate::ops::per_isa;
use crate::transpose::transpose;

/// Rows cut into blocks of at most `mr`, as even as can be: 13 rows are 7 + 6, not 12 + 1.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    pub rows: usize,
    pub count: usize,
}

impl Blocks {
    pub fn new(rows: usize, mr: usize) -> Blocks {
        Blocks { rows, count: rows.div_ceil(mr) }
    }

    pub fn range(&self, block: usize) -> Range<usize> {
        let (small, larger) = (self.rows / self.count, self.rows % self.count);
        let start = block * small + block.min(larger);
        start..start + small + usize::from(block < larger)
    }
}

/// Copies rows `[rows][k]` of a strided matrix to `out` = `[k][rows]`.
pub(crate) fn pack_block(
    isa: Isa,
    a: &[f32],
    rows: Range<usize>,
    row: usize,
    column: usize,
    k: usize,
    out: &mut [f32],
) {
    let count = rows.len();
    if row == 1 && k > 0 {
        // The transpose of a matrix with adjacent columns: each step along k is one short run.
        let last = (k - 1) * column + rows.end;
        assert!(last <= a.len() && out.len() >= k * count, "a block outside its matrix");
        match count {
            12 => copy_runs::<12>(a, rows.start, column, k, out),
            11 => copy_runs::<11>(a, rows.start, column, k, out),
            10 => copy_runs::<10>(a, rows.start, column, k, out),
            6 => copy_runs::<6>(a, rows.start, column, k, out),
            5 => copy_runs::<5>(a, rows.start, column, k, out),
            4 => copy_runs::<4>(a, rows.start, column, k, out),
            _ => {
                for (i, out) in out.chunks_exact_mut(count).take(k).enumerate() {
                    out.copy_from_slice(&a[i * column + rows.start..i * column + rows.end]);
                }
            }
        }
        return;
    }
    if column != 1 {
        for (i, out) in out.chunks_exact_mut(count).take(k).enumerate() {
            for (out, r) in out.iter_mut().zip(rows.clone()) {
                *out = a[r * row + i * column];
            }
        }
        return;
    }
    let start = (rows.start * row).min(a.len());
    transpose(isa, &a[start..], row, [count, k], out);
}

/// Copies one row of a panel; behind its columns come zeros.
#[inline]
pub(crate) fn copy_line(line: &[f32], out: &mut [f32]) {
    match (line.as_array::<32>(), line.as_array::<16>(), out.len()) {
        (Some(line), _, 32) => out.copy_from_slice(line),
        (_, Some(line), 16) => out.copy_from_slice(line),
        _ => {
            out[..line.len()].copy_from_slice(line);
            out[line.len()..].fill(0.0);
        }
    }
}

/// Runs of N floats, one every `step`, one after the other.
fn copy_runs<const N: usize>(a: &[f32], start: usize, step: usize, k: usize, out: &mut [f32]) {
    let (out, _) = out.as_chunks_mut::<N>();
    for (i, out) in out.iter_mut().take(k).enumerate() {
        let from = start + i * step;
        out.copy_from_slice(&a[from..from + N]);
    }
}

/// Where the zeros of a packed block are, as indices along k in ascending order: nothing else before `begin` and from `end`
/// on, none in `dense`.
#[derive(Clone)]
pub(crate) struct ZeroRun {
    begin: usize,
    dense: Range<usize>,
    end: usize,
}

impl ZeroRun {
    /// Of a block `[k][rows]`. Under a causal mask the dense steps are all but the few beside the diagonal, whether the
    /// block holds queries or keys.
    pub fn find(isa: Isa, block: &[f32], rows: usize) -> ZeroRun {
        let [first, last] = outermost(isa, block, false);
        let (begin, end) = if first == block.len() { (0, 0) } else { (first / rows, last / rows + 1) };
        let inner = &block[begin * rows..end * rows];
        // The dense steps are those up to the first zero, or those behind the last one.
        let [first, last] = outermost(isa, inner, true);
        if first == inner.len() {
            return ZeroRun { begin, dense: begin..end, end };
        }
        let (before, behind) = (begin + first / rows, begin + last / rows + 1);
        let dense = if before - begin >= end - behind { begin..before } else { behind..end };
        ZeroRun { begin, dense, end }
    }
}

per_isa! {
    /// Where the first and the last entry are that is zero, or that is not; the length, twice, where there is none.
    fn outermost(x: &[f32], zero: bool) -> [usize; 2] {
        // By the cache line first: whether there is one in it is a question without branches.
        let holds = |line: &[f32]| line.iter().fold(false, |found, &x| found | ((x == 0.0) == zero));
        let one = |&x: &f32| (x == 0.0) == zero;
        let (lines, rest) = x.as_chunks::<16>();
        let first = lines.iter().position(|line| holds(line)).map_or(lines.len() * 16, |line| line * 16);
        let Some(first) = x[first..].iter().position(one).map(|at| first + at) else { return [x.len(); 2] };
        let last = match rest.iter().rposition(one) {
            Some(at) => lines.len() * 16 + at,
            None => {
                let line = lines.iter().rposition(|line| holds(line)).unwrap_or(0);
                line * 16 + lines[line].iter().rposition(one).unwrap_or(0)
            }
        };
        [first, last]
    }
}

/// One product with A already packed in [`Blocks`], each `[k][rows of the block]`, one after the other.
pub(crate) struct Sweep<'a> {
    pub micro: &'static Micro,
    pub dtype: Dtype,
    /// When zeros of A are skipped: where they stand in each block. Then B is f32 and there is no bias.
    pub zeros: Option<&'a [ZeroRun]>,
    pub k: usize,
    pub blocks: Blocks,
    pub a: *const f32,
    /// Panel p begins `p * panel_step` bytes behind `b`, its row i another `i * b_step` bytes on.
    pub b: *const u8,
    pub panel_step: usize,
    pub b_step: usize,
    /// The columns of B that are wanted; C and bias begin with the first of them.
    pub columns: Range<usize>,
    pub bias: Option<&'a [f32]>,
    pub c: *mut f32,
    pub c_step: usize,
    /// Whether the chains continue what stands in C; otherwise they start from +0.0.
    pub onto: bool,
    pub cancel: Option<&'a AtomicBool>,
}

// SAFETY: the pointers are to memory that outlives the sweep (contract of `group`); threads write disjoint groups.
unsafe impl Sync for Sweep<'_> {}

impl Sweep<'_> {
    /// The panels that hold wanted columns.
    pub fn panels(&self) -> Range<usize> {
        self.columns.start / self.micro.nr..self.columns.end.div_ceil(self.micro.nr)
    }

    /// How far along k to go before the next block of rows: so that the stretch of a panel (128 or 256 KiB of f32) stays in
    /// L2 while the row blocks pass over it. Shorter ones would fit L1, but measured slower: each end reloads the tile of
    /// C. A single block has nothing to come back to; its limit is there for cancellation.
    fn stretch(&self, blocks: usize) -> usize {
        if blocks == 1 { 8192 } else { 2048 }
    }

    /// Asks for the tile of C that comes next: its rows are pages apart, and each would be waited for in turn.
    fn prefetch(&self, rows: Range<usize>, first_column: usize) {
        for row in rows {
            let line = self.c.wrapping_add(row * self.c_step + first_column);
            for column in (0..self.micro.nr).step_by(16) {
                micro::prefetch(line.wrapping_add(column));
            }
        }
    }

    /// Computes the tiles of `blocks` × `panels`; returns early when cancelled.
    ///
    /// # Safety
    /// The instruction set of `micro` is available. A holds `blocks.rows * k` floats; each named panel has `k` rows of
    /// `nr` readable elements; bias has one float per wanted column; C is writable for all wanted columns of the rows
    /// of `blocks`, and nothing else touches those elements meanwhile.
    pub unsafe fn group(&self, blocks: Range<usize>, panels: Range<usize>) {
        let nr = self.micro.nr;
        let stretch = self.stretch(blocks.len());
        let mut from = 0;
        loop {
            let len = stretch.min(self.k - from);
            let last = from + len == self.k;
            for panel in panels.clone() {
                for block in blocks.clone() {
                    if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                        return;
                    }
                    let rows = self.blocks.range(block);
                    let wanted = self.columns.start.max(panel * nr)..self.columns.end.min((panel + 1) * nr);
                    let first_column = wanted.start - self.columns.start;
                    if block + 1 < blocks.end {
                        self.prefetch(self.blocks.range(block + 1), first_column);
                    }
                    let bias = self.bias.filter(|_| last).map(|bias| &bias[first_column..first_column + wanted.len()]);
                    let zeros = self.zeros.map(|zeros| &zeros[block]);
                    // The part of this stretch without zeros, around it those where each is looked at; the rest is zeros.
                    let whole = [from, from, from + len, from + len];
                    let [begin, dense, mixed, end] = zeros.map_or(whole, |zeros| {
                        [zeros.begin, zeros.dense.start, zeros.dense.end, zeros.end]
                            .map(|at| at.clamp(from, from + len))
                    });
                    let mut first = from == 0 && !self.onto;
                    for (start, end, skip) in [(begin, dense, true), (dense, mixed, false), (mixed, end, true)] {
                        // Where there is nothing to add, the zeros that a chain starts from have to be written all the
                        // same (and, without terms at all, the bias).
                        if start == end && (skip || zeros.is_some() && !first) {
                            continue;
                        }
                        let kernel = match skip {
                            true => self.micro.tile_skipping_zeros(rows.len()),
                            false => self.micro.tile(self.dtype, rows.len()),
                        };
                        // SAFETY: block and panel lie in the ranges of the caller and `end <= k`, so all three
                        // pointers stay in their extents. A later part continues what the part before it wrote.
                        unsafe {
                            let tile = Tile {
                                k: end - start,
                                a: self.a.add(rows.start * self.k + start * rows.len()),
                                b: self.b.add(panel * self.panel_step + start * self.b_step),
                                b_step: self.b_step,
                                c: self.c.add(rows.start * self.c_step + first_column),
                                c_step: self.c_step,
                                first: std::mem::take(&mut first),
                                bias: std::ptr::null(),
                            };
                            self.tile(kernel, tile, rows.len(), wanted.start % nr, wanted.len(), bias);
                        }
                    }
                }
            }
            from += len;
            if last {
                return;
            }
        }
    }

    /// # Safety
    /// As [`Sweep::group`], for a tile of `rows` × `width` whose first wanted lane is `lane`; `tile.c` points at that
    /// lane of the first row.
    unsafe fn tile(&self, kernel: TileFn, tile: Tile, rows: usize, lane: usize, width: usize, bias: Option<&[f32]>) {
        let nr = self.micro.nr;
        if width == nr {
            let bias = bias.map_or(std::ptr::null(), <[f32]>::as_ptr);
            // SAFETY: a whole tile of C is wanted, so all of it is writable; bias has nr floats; the rest is the caller's.
            return unsafe { kernel(Tile { bias, ..tile }) };
        }
        // A part of a panel: the whole tile goes through a copy of its own, of which the wanted lanes are kept.
        let mut whole = [[0f32; MAX_COLUMNS]; MAX_ROWS];
        let mut whole_bias = [0f32; MAX_COLUMNS];
        if let Some(bias) = bias {
            whole_bias[lane..lane + width].copy_from_slice(bias);
        }
        for (r, row) in whole.iter_mut().enumerate().take(rows).filter(|_| !tile.first) {
            // SAFETY: `width` floats of row r of C are wanted and belong to this tile; the copy is elsewhere.
            unsafe { tile.c.add(r * tile.c_step).copy_to_nonoverlapping(row[lane..lane + width].as_mut_ptr(), width) };
        }
        let bias = if bias.is_some() { whole_bias.as_ptr() } else { std::ptr::null() };
        let c = whole.as_mut_ptr().cast::<f32>();
        // SAFETY: `whole` has MAX_ROWS ≥ rows rows of MAX_COLUMNS ≥ nr floats; the rest is the caller's.
        unsafe { kernel(Tile { c, c_step: MAX_COLUMNS, bias, ..tile }) };
        for (r, row) in whole.iter().enumerate().take(rows) {
            // SAFETY: `width` floats of row r of C are wanted and belong to this tile; the copy is elsewhere.
            unsafe { tile.c.add(r * tile.c_step).copy_from_nonoverlapping(row[lane..lane + width].as_ptr(), width) };
        }
    }
}
