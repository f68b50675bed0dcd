//! Weights that are computed of stored ones when they are packed or read, so that nobody holds them twice: every product
//! and sum in f64, sums one after the other in ascending order, rounded to f32 once. What a norm's gain and shift fold
//! into, and what is centred: `core/architectures` says which.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::stored_lines::StoredLines;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::pack::PackedMatrix;
use crate::pool;

/// Lines whose sums grow side by side: one addition does not wait for the last one.
const SIDE_BY_SIDE: usize = 8;
/// Elements of a line that are widened at a time.
const TILE: usize = 256;
/// Lines after which pages go back.
const LINES: usize = 512;

pub(super) enum Folding {
    Matrix(FoldedMatrix),
    Bias(FoldedBias),
}

/// gain ⊙ W, less the mean of each column over its rows, less the mean of each row over its columns.
pub(super) struct FoldedMatrix {
    pub source: StoredLines,
    /// One factor a row.
    pub gain: Option<Vec<f64>>,
    pub centre_columns: bool,
    pub centre_rows: bool,
    pub means: OnceLock<Means>,
}

/// Empty where nothing is centred.
pub(super) struct Means {
    columns: Vec<f64>,
    rows: Vec<f64>,
}

/// b + shift·W + Σ_h values[h]·W[h], less its mean where asked.
pub(super) struct FoldedBias {
    pub size: usize,
    pub from: Option<Vec<f64>>,
    pub shift: Option<(Vec<f64>, StoredLines)>,
    pub values: Option<FoldedValues>,
    pub centre: bool,
}

/// Biases of values, through the matrix of the heads' output; each key/value head serves `heads / kv_heads` heads.
pub(super) struct FoldedValues {
    pub bias: Box<FoldedBias>,
    pub matrix: StoredLines,
    pub heads: usize,
    pub kv_heads: usize,
}

impl Folding {
    /// One row of a matrix.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), KernelError> {
        match self {
            Folding::Matrix(matrix) => matrix.row(row, out),
            Folding::Bias(_) => Err(KernelError::Shape { what: "dimensions of a table", expected: 2, got: 1 }),
        }
    }
}

impl FoldedMatrix {
    fn gain(&self, row: usize) -> f64 {
        self.gain.as_ref().map_or(1.0, |gain| gain[row])
    }

    /// Elements `first` and following of a line, times their gains.
    fn read_scaled(&self, line: usize, first: usize, out: &mut [f64]) {
        self.source.read(line, first, out);
        let Some(gain) = &self.gain else { return };
        if self.source.by_columns() {
            for (out, gain) in out.iter_mut().zip(&gain[first..]) {
                *out *= gain;
            }
        } else {
            let gain = gain[line];
            out.iter_mut().for_each(|out| *out *= gain);
        }
    }

    fn means(&self, ctx: &Context<'_>) -> Result<&Means, KernelError> {
        if let Some(means) = self.means.get() {
            return Ok(means);
        }
        let means = if self.source.by_columns() { self.means_of_columns(ctx) } else { self.means_of_rows(ctx) };
        ctx.result()?;
        Ok(self.means.get_or_init(|| means))
    }

    /// Where lines are rows.
    fn means_of_rows(&self, ctx: &Context<'_>) -> Means {
        let [k, n] = [self.source.k, self.source.n];
        let mut columns = vec![0.0; if self.centre_columns { n } else { 0 }];
        in_parts(ctx, &mut columns, TILE, &|first, sums| {
            let mut tile = [0.0; TILE];
            let tile = &mut tile[..sums.len()];
            for row in 0..k {
                self.read_scaled(row, first, tile);
                sums.iter_mut().zip(&*tile).for_each(|(sum, value)| *sum += value);
            }
            sums.iter_mut().for_each(|sum| *sum /= k as f64);
        });
        let mut rows = vec![0.0; if self.centre_rows { k } else { 0 }];
        in_parts(ctx, &mut rows, SIDE_BY_SIDE, &|first, sums| {
            self.sum_lines(first, sums, |at, tile| {
                if let Some(columns) = columns.get(at..at + tile.len()) {
                    tile.iter_mut().zip(columns).for_each(|(value, mean)| *value -= mean);
                }
            });
            sums.iter_mut().for_each(|sum| *sum /= n as f64);
        });
        Means { columns, rows }
    }

    /// Where lines are columns: one way through the file, a block of lines at a time.
    fn means_of_columns(&self, ctx: &Context<'_>) -> Means {
        let [k, n] = [self.source.k, self.source.n];
        let mut columns = vec![0.0; if self.centre_columns { n } else { 0 }];
        let mut rows = vec![0.0; if self.centre_rows { k } else { 0 }];
        for start in (0..n).step_by(LINES) {
            let lines = start..n.min(start + LINES);
            if let Some(means) = columns.get_mut(lines.clone()) {
                in_parts(ctx, means, SIDE_BY_SIDE, &|first, sums| {
                    self.sum_lines(start + first, sums, |_, _| {});
                    sums.iter_mut().for_each(|sum| *sum /= k as f64);
                });
            }
            in_parts(ctx, &mut rows, TILE, &|first, sums| {
                let mut tile = [0.0; TILE];
                let tile = &mut tile[..sums.len()];
                for line in lines.clone() {
                    self.read_scaled(line, first, tile);
                    let mean = columns.get(line).copied().unwrap_or(0.0);
                    sums.iter_mut().zip(&*tile).for_each(|(sum, value)| *sum += value - mean);
                }
            });
            self.source.release_lines(lines);
            if ctx.is_cancelled() {
                break;
            }
        }
        rows.iter_mut().for_each(|sum| *sum /= n as f64);
        Means { columns, rows }
    }

    /// Sums of at most `SIDE_BY_SIDE` lines, of what `change` makes of them.
    fn sum_lines(&self, first: usize, sums: &mut [f64], change: impl Fn(usize, &mut [f64])) {
        let mut tiles = [[0.0; TILE]; SIDE_BY_SIDE];
        let mut all = [0.0; SIDE_BY_SIDE];
        for at in (0..self.source.len()).step_by(TILE) {
            let width = TILE.min(self.source.len() - at);
            for (line, tile) in (first..first + sums.len()).zip(&mut tiles) {
                self.read_scaled(line, at, &mut tile[..width]);
                change(at, &mut tile[..width]);
            }
            for i in 0..width {
                for (sum, tile) in all.iter_mut().zip(&tiles) {
                    *sum += tile[i];
                }
            }
        }
        sums.copy_from_slice(&all[..sums.len()]);
    }

    /// In panels; pages of the source go as they are done with.
    pub fn packed(&self, ctx: &Context<'_>, spare: Option<PackedMatrix>) -> Result<PackedMatrix, KernelError> {
        let means = self.means(ctx)?;
        let (source, size) = (&self.source, [self.source.k, self.source.n]);
        let column = |at: usize| means.columns.get(at).copied().unwrap_or(0.0);
        let row = |at: usize| means.rows.get(at).copied().unwrap_or(0.0);
        let packed = PackedMatrix::pack_computed(ctx, size, spare, &|columns, nr, out| {
            if source.by_columns() {
                let mut line = vec![0.0; source.k];
                for (lane, at) in columns.clone().enumerate() {
                    self.read_scaled(at, 0, &mut line);
                    let mean = column(at);
                    for (i, value) in line.iter().enumerate() {
                        out[i * nr + lane] = (value - mean - row(i)) as f32;
                    }
                }
                source.release_lines(columns);
                return;
            }
            let mut line = vec![0.0; columns.len()];
            for (i, out) in out.chunks_exact_mut(nr).enumerate() {
                self.read_scaled(i, columns.start, &mut line);
                for ((at, value), out) in columns.clone().zip(&line).zip(out) {
                    *out = (value - column(at) - row(i)) as f32;
                }
            }
        })?;
        source.release_all();
        Ok(packed)
    }

    /// One row, as packing would make it. A table of which few rows are read is never gone through whole.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), KernelError> {
        let mut values = vec![0.0; out.len()];
        self.source.read_row(row, 0, &mut values);
        let gain = self.gain(row);
        values.iter_mut().for_each(|value| *value *= gain);
        if self.centre_columns {
            let alone = Context { isa: crate::isa::Isa::Portable, threads: 1, cancel: None };
            let means = self.means(&alone)?;
            values.iter_mut().zip(&means.columns).for_each(|(value, mean)| *value -= mean);
        }
        let mean = if self.centre_rows {
            values.iter().fold(0.0, |sum, value| sum + value) / values.len() as f64
        } else {
            0.0
        };
        out.iter_mut().zip(&values).for_each(|(out, value)| *out = (value - mean) as f32);
        Ok(())
    }
}

impl FoldedBias {
    pub fn values(&self) -> Vec<f64> {
        let mut out = self.from.clone().unwrap_or_else(|| vec![0.0; self.size]);
        if let Some((vector, matrix)) = &self.shift {
            add_product(&mut out, vector, matrix);
        }
        if let Some(FoldedValues { bias, matrix, heads, kv_heads }) = &self.values {
            let values = bias.values();
            let (width, shared) = (matrix.k / heads, heads / kv_heads);
            let spread: Vec<f64> = (0..matrix.k).map(|at| values[at / width / shared * width + at % width]).collect();
            add_product(&mut out, &spread, matrix);
        }
        if self.centre {
            let mean = out.iter().fold(0.0, |sum, value| sum + value) / self.size as f64;
            out.iter_mut().for_each(|value| *value -= mean);
        }
        out
    }
}

/// out += x·W, rows in ascending order, those with a zero left out.
fn add_product(out: &mut [f64], x: &[f64], matrix: &StoredLines) {
    if !matrix.by_columns() {
        let mut line = vec![0.0; out.len()];
        for (row, &factor) in x.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            matrix.read(row, 0, &mut line);
            out.iter_mut().zip(&line).for_each(|(out, value)| *out += factor * value);
        }
        matrix.release_all();
        return;
    }
    let mut lines = vec![vec![0.0; matrix.k]; SIDE_BY_SIDE];
    for (block, sums) in out.chunks_mut(SIDE_BY_SIDE).enumerate() {
        let first = block * SIDE_BY_SIDE;
        for (line, values) in (first..first + sums.len()).zip(&mut lines) {
            matrix.read(line, 0, values);
        }
        for (row, &factor) in x.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            for (sum, line) in sums.iter_mut().zip(&lines) {
                *sum += factor * line[row];
            }
        }
        matrix.release_lines(first..first + sums.len());
    }
    matrix.release_all();
}

/// Calls `body` with parts of `values` and where they begin, on the threads of `ctx`.
fn in_parts(ctx: &Context<'_>, values: &mut [f64], part: usize, body: &(dyn Fn(usize, &mut [f64]) + Sync)) {
    let parts: Vec<Mutex<&mut [f64]>> = values.chunks_mut(part).map(Mutex::new).collect();
    pool::run(ctx.threads, parts.len(), &|at| {
        if !ctx.is_cancelled() {
            // Each part is one task's own; the lock only says so to the compiler.
            body(at * part, &mut parts[at].lock().unwrap_or_else(PoisonError::into_inner));
        }
    });
}
