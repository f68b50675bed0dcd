use std::cmp::Ordering;

use super::double_tile::{Columns, Scaling, TILE, add_products};
use super::split::{Rows, expect_len, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_doubles;

/// Columns whose means are taken by one task: a few cache lines of each row.
const COLUMNS: usize = 64;
/// Rows between two looks at whether the run was cancelled.
const ROWS: usize = 4096;

/// What is asked of each column of A: its `k` partners among the columns of B, the first of which is number `first`.
#[derive(Clone, Copy, Debug)]
pub struct Correlate<'a> {
    pub k: usize,
    /// By size, whatever the sign.
    pub absolute: bool,
    pub first: usize,
    /// What earlier columns of B gave: [p, k] correlations, and indices, −1 beyond the last.
    pub before: Option<(&'a [f32], &'a [i32])>,
}

/// [p, k] each.
#[derive(Debug)]
pub struct CorrelateOut<'a> {
    pub values: &'a mut [f32],
    pub indices: &'a mut [i32],
}

/// For each column of A [n, p] the columns of B [n, q] with the largest Pearson correlation, largest first, ties by index;
/// value 0 and index −1 where there are fewer. A column that is constant, or not finite throughout, has no correlation: it
/// has no partner and is nobody's. Columns are centred and scaled in float64 and rounded to float32; each correlation is one
/// float64 chain over the rows ascending, cut to [−1, 1] and rounded. Bounded: 4u. Equal everywhere, however B is cut.
pub fn correlate_top_k(
    ctx: &Context<'_>,
    a: &[f32],
    b: &[f32],
    [n, p, q]: [usize; 3],
    with: Correlate<'_>,
    to: CorrelateOut<'_>,
) -> Result<(), KernelError> {
    let k = with.k;
    expect_len("a of correlate_top_k", a.len(), &[n, p])?;
    expect_len("b of correlate_top_k", b.len(), &[n, q])?;
    expect_len("values of correlate_top_k", to.values.len(), &[p, k])?;
    expect_len("indices of correlate_top_k", to.indices.len(), &[p, k])?;
    if let Some((values, indices)) = with.before {
        expect_len("values before of correlate_top_k", values.len(), &[p, k])?;
        expect_len("indices before of correlate_top_k", indices.len(), &[p, k])?;
    }
    if with.first.checked_add(q).is_none_or(|end| end > i32::MAX as usize) {
        return Err(KernelError::OutOfRange {
            what: "the last column of b",
            limit: i32::MAX as usize,
            got: with.first,
        });
    }
    if p == 0 || k == 0 {
        return ctx.result();
    }
    let [own, others] = [scalings(ctx, a, n, p)?, scalings(ctx, b, n, q)?];
    let columns = Columns { data: a, width: p, scaling: Some(&own) };
    let partners = Columns { data: b, width: q, scaling: Some(&others) };
    let (values, indices) = (Rows::new(to.values, k), Rows::new(to.indices, k));
    try_tasks(ctx, p.div_ceil(TILE), &|task| {
        let range = task * TILE..p.min((task + 1) * TILE);
        // SAFETY: each column of A belongs to one task.
        let (values, indices) = unsafe { (values.take(range.clone()), indices.take(range.clone())) };
        let mut best: Vec<Best<'_>> = values
            .chunks_exact_mut(k)
            .zip(indices.chunks_exact_mut(k))
            .map(|(values, indices)| Best::new(values, indices, with.absolute))
            .collect();
        if let Some((values, indices)) = with.before {
            for (best, column) in best.iter_mut().zip(range.clone()) {
                for at in column * k..(column + 1) * k {
                    // What is not a correlation of a column came from nowhere.
                    if indices[at] >= 0 && values[at].abs() <= 1.0 {
                        best.offer(values[at], indices[at]);
                    }
                }
            }
        }
        let tile = |from: usize, sums: &mut [f64]| -> Result<(), KernelError> {
            let others_range = from..q.min(from + TILE);
            sums.fill(0.0);
            add_products(ctx, [(columns, range.clone()), (partners, others_range.clone())], n, false, sums)?;
            for (i, best) in best.iter_mut().enumerate().filter(|(i, _)| own[range.start + i].factor > 0.0) {
                for (sum, partner) in sums[i * TILE..].iter().zip(others_range.clone()) {
                    if others[partner].factor > 0.0 {
                        best.offer(sum.clamp(-1.0, 1.0) as f32, (with.first + partner) as i32);
                    }
                }
            }
            Ok(())
        };
        let mut tile = tile;
        with_doubles(TILE * TILE, |sums| (0..q).step_by(TILE).try_for_each(|from| tile(from, sums)))
            .ok_or(KernelError::TooLarge { what: "a tile of correlate_top_k" })?
    })
}

/// The first of what was offered to one column of A.
struct Best<'a> {
    values: &'a mut [f32],
    indices: &'a mut [i32],
    absolute: bool,
    count: usize,
}

impl<'a> Best<'a> {
    fn new(values: &'a mut [f32], indices: &'a mut [i32], absolute: bool) -> Best<'a> {
        values.fill(0.0);
        indices.fill(-1);
        Best { values, indices, absolute, count: 0 }
    }

    fn offer(&mut self, value: f32, index: i32) {
        let size = |value: f32| if self.absolute { value.abs() } else { value };
        let before = |at: usize| {
            let order = size(self.values[at]).partial_cmp(&size(value)).unwrap_or(Ordering::Equal);
            order.then(index.cmp(&self.indices[at])) == Ordering::Greater
        };
        if self.count == self.values.len() && before(self.count - 1) {
            return;
        }
        let place = (0..self.count).rev().find(|&at| before(at)).map_or(0, |at| at + 1);
        if place == self.values.len() {
            return;
        }
        self.count = (self.count + 1).min(self.values.len());
        self.values[place..self.count].rotate_right(1);
        self.indices[place..self.count].rotate_right(1);
        self.values[place] = value;
        self.indices[place] = index;
    }
}

/// Means and lengths of all columns: two chains over the rows ascending, none of their steps fused.
fn scalings(ctx: &Context<'_>, x: &[f32], n: usize, width: usize) -> Result<Vec<Scaling>, KernelError> {
    let mut all = Vec::new();
    all.try_reserve_exact(width).map_err(|_| KernelError::TooLarge { what: "the means of columns" })?;
    all.resize(width, Scaling::default());
    let blocks = Rows::new(&mut all, 1);
    try_tasks(ctx, width.div_ceil(COLUMNS), &|task| {
        let range = task * COLUMNS..width.min((task + 1) * COLUMNS);
        // SAFETY: each column belongs to one task.
        let to = unsafe { blocks.take(range.clone()) };
        let row = |row: usize| &x[row * width..][range.clone()];
        let [mut sums, mut squares] = [[0f64; COLUMNS]; 2];
        let mut varies = [false; COLUMNS];
        let first = if n > 0 { row(0) } else { &[] };
        for at in 0..n {
            if at % ROWS == 0 {
                ctx.result()?;
            }
            for (((sum, varies), x), first) in sums.iter_mut().zip(&mut varies).zip(row(at)).zip(first) {
                *sum += f64::from(*x);
                *varies |= x != first;
            }
        }
        let means = sums.map(|sum| sum / n as f64);
        for at in 0..n {
            if at % ROWS == 0 {
                ctx.result()?;
            }
            for ((square, x), mean) in squares.iter_mut().zip(row(at)).zip(means) {
                let apart = f64::from(*x) - mean;
                *square += apart * apart;
            }
        }
        for (at, to) in to.iter_mut().enumerate() {
            // A sum of float32 numbers overflows no float64: what is not finite had an entry that is not.
            if varies[at] && squares[at].is_finite() {
                *to = Scaling { mean: means[at], factor: 1.0 / squares[at].sqrt() };
            }
        }
        Ok(())
    })?;
    Ok(all)
}
