use super::groups::Groups;
use super::per_isa::per_isa;
use super::split::{Rows, expect_len, fill_rows, index_below, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of scores [rows, heads, pos, keys] and of the table [buckets, heads].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub heads: usize,
    pub pos: usize,
    pub keys: usize,
    pub buckets: usize,
}

/// out[r, h, i, j] = x[r, h, i, j] + table[buckets[i, j], h]: what a head adds for the distance of a key; −∞ stays. Exact.
pub fn add_bias(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    buckets: &[i32],
    table: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, heads, pos, keys, buckets: count } = sizes;
    expect_len("x of add_bias", x.len(), &[rows, heads, pos, keys])?;
    expect_len("buckets of add_bias", buckets.len(), &[pos, keys])?;
    expect_len("table of add_bias", table.len(), &[count, heads])?;
    expect_len("out of add_bias", out.len(), &[rows, heads, pos, keys])?;
    check_buckets(buckets, count)?;
    if out.is_empty() {
        return ctx.result();
    }
    let columns: Vec<Vec<f32>> =
        (0..heads).map(|head| table.iter().skip(head).step_by(heads).copied().collect()).collect();
    fill_rows(ctx, rows * heads * pos, 2 * keys, [(out, keys)], &|lines, [out]| {
        out.copy_from_slice(&x[lines.start * keys..lines.end * keys]);
        for (line, out) in lines.zip(out.chunks_exact_mut(keys)) {
            bias_row(ctx.isa, out, &columns[line / pos % heads], &buckets[line % pos * keys..][..keys]);
        }
    })
}

per_isa! {
    /// `column` is that of the head; the buckets lie within it.
    pub(crate) fn bias_row(row: &mut [f32], column: &[f32], buckets: &[i32]) {
        for (x, &bucket) in row.iter_mut().zip(buckets) {
            let sum = *x + column[bucket as usize];
            *x = if *x == f32::NEG_INFINITY { *x } else { sum };
        }
    }
}

/// out[q, b, h] = Σ ct[r, h, i, j] over the rows of group q, then i, then j with buckets[i, j] = b; from +0. Bounded:
/// terms·u·Σ|terms|.
pub fn add_bias_grad(
    ctx: &Context<'_>,
    count: usize,
    sizes: Sizes,
    buckets: &[i32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, heads, pos, keys, buckets: table } = sizes;
    expect_len("buckets of add_bias_grad", buckets.len(), &[pos, keys])?;
    expect_len("ct of add_bias_grad", ct.len(), &[rows, heads, pos, keys])?;
    expect_len("out of add_bias_grad", out.len(), &[count, table, heads])?;
    check_buckets(buckets, table)?;
    if out.is_empty() {
        return ctx.result();
    }
    let groups = Groups::new(count, &[rows])?;
    let square = pos * keys;
    let out = Rows::new(out, table * heads);
    try_tasks(ctx, count, &|group| {
        // SAFETY: each task has a group of its own.
        let out = unsafe { out.take(group..group + 1) };
        out.fill(0.0);
        for at in 0..groups.rows {
            let row = groups.row(group, at, rows);
            for head in 0..heads {
                let from = (row * heads + head) * square;
                for (ct, &bucket) in ct[from..from + square].iter().zip(buckets) {
                    out[bucket as usize * heads + head] += ct;
                }
            }
        }
        Ok(())
    })
}

pub(crate) fn check_buckets(buckets: &[i32], count: usize) -> Result<(), KernelError> {
    buckets.iter().try_for_each(|&bucket| index_below("bucket", bucket, count).map(|_| ()))
}
