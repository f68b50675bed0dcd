//! The loops around the microkernels: which tiles, in which order, over which stretch of k. Nothing here may change a
//! bit of the output: a tile always continues the chains of its own elements.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::half::Dtype;
use crate::micro::{MAX_COLUMNS, MAX_ROWS, Micro, Tile, TileFn};

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
pub(crate) fn pack_block(a: &[f32], rows: Range<usize>, row: usize, column: usize, k: usize, out: &mut [f32]) {
    let count = rows.len();
    if column != 1 {
        for (i, out) in out.chunks_exact_mut(count).take(k).enumerate() {
            for (out, r) in out.iter_mut().zip(rows.clone()) {
                *out = a[r * row + i * column];
            }
        }
        return;
    }
    // Four rows at a time, in squares of four by four that the compiler turns into shuffles.
    let line = |r: usize| &a[(rows.start + r) * row..][..k];
    let mut r = 0;
    while r + 4 <= count {
        let (squares, rest) = line(r).as_chunks::<4>();
        let lines = [1, 2, 3].map(|i| line(r + i));
        let mut to = r;
        for (i, first) in squares.iter().enumerate() {
            let [second, third, fourth] = lines.map(|line| line[4 * i..4 * i + 4].as_array::<4>().unwrap());
            for (k, column) in transpose([*first, *second, *third, *fourth]).iter().enumerate() {
                out[to + k * count..to + k * count + 4].copy_from_slice(column);
            }
            to += 4 * count;
        }
        for (i, first) in rest.iter().enumerate() {
            let i = 4 * squares.len() + i;
            out[i * count + r..i * count + r + 4].copy_from_slice(&[*first, lines[0][i], lines[1][i], lines[2][i]]);
        }
        r += 4;
    }
    for r in r..count {
        for (out, x) in out[r..].iter_mut().step_by(count).zip(line(r)) {
            *out = *x;
        }
    }
}

#[inline(always)]
fn transpose(square: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|i| std::array::from_fn(|j| square[j][i]))
}

/// Where the zeros of a packed block are, as indices along k: none before `dense`, nothing else from `end` on.
#[derive(Clone, Copy)]
pub(crate) struct ZeroRun {
    dense: usize,
    end: usize,
}

impl ZeroRun {
    /// Of a block `[k][rows]`. Under a causal mask both indices are close to the diagonal.
    pub fn find(block: &[f32], rows: usize) -> ZeroRun {
        // By the cache line first: whether there is a zero in one is a question without branches.
        let holds = |line: &[f32], zero: bool| line.iter().fold(false, |found, &x| found | ((x == 0.0) == zero));
        let first = |lines: &[f32]| lines.chunks(16).position(|line| holds(line, true)).map_or(lines.len(), |i| 16 * i);
        let last = block.rchunks(16).position(|line| holds(line, false)).map_or(0, |i| block.len() - 16 * i);
        let end = block[..last].iter().rposition(|&x| x != 0.0).map_or(0, |last| last / rows + 1);
        let from = first(block);
        let dense = block[from..].iter().position(|&x| x == 0.0).map_or(end, |first| (from + first) / rows);
        ZeroRun { dense: dense.min(end), end }
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
    pub cancel: Option<&'a AtomicBool>,
}

// SAFETY: the pointers are to memory that outlives the sweep (contract of `group`); threads write disjoint groups.
unsafe impl Sync for Sweep<'_> {}

impl Sweep<'_> {
    /// The panels that hold wanted columns.
    pub fn panels(&self) -> Range<usize> {
        self.columns.start / self.micro.nr..self.columns.end.div_ceil(self.micro.nr)
    }

    /// How far along k to go before the next block of rows: so that the stretch of a panel (128 KiB of f32) stays in L2
    /// while the row blocks pass over it. Shorter ones would fit L1, but measured slower: each end reloads the tile of C.
    /// A single block has nothing to come back to; its limit is there for cancellation.
    fn stretch(&self, blocks: usize) -> usize {
        if blocks == 1 { 8192 } else { 32768 / self.micro.nr }
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
                    let bias = self.bias.filter(|_| last).map(|bias| &bias[first_column..first_column + wanted.len()]);
                    let zeros = self.zeros.map(|zeros| zeros[block]);
                    // The part of this stretch without zeros, then the part where each is looked at; the rest is zeros.
                    let middle = zeros.map_or(from + len, |zeros| zeros.dense.clamp(from, from + len));
                    let end = zeros.map_or(middle, |zeros| zeros.end.clamp(from, from + len));
                    for (start, end, skip) in [(from, middle, false), (middle, end, true)] {
                        // An empty first part still has to write its zeros (and, without terms at all, its bias).
                        if start == end && (skip || zeros.is_some() && from > 0) {
                            continue;
                        }
                        let kernel = match skip {
                            true => self.micro.tile_skipping_zeros(rows.len()),
                            false => self.micro.tile(self.dtype, rows.len()),
                        };
                        // SAFETY: block and panel lie in the ranges of the caller and `end <= k`, so all three
                        // pointers stay in their extents. A skipping part continues what the part before it wrote.
                        unsafe {
                            let tile = Tile {
                                k: end - start,
                                a: self.a.add(rows.start * self.k + start * rows.len()),
                                b: self.b.add(panel * self.panel_step + start * self.b_step),
                                b_step: self.b_step,
                                c: self.c.add(rows.start * self.c_step + first_column),
                                c_step: self.c_step,
                                first: from == 0 && !skip,
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
