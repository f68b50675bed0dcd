use super::groups::Groups;
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

/// out[r, h, i, j] = x[r, h, i, j] + table[buckets[i, j], h]: what a head adds for the distance of a key. Exact.
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
    let buckets = checked(buckets, count)?;
    fill_rows(ctx, rows * heads * pos, keys, [(out, keys)], &|lines, [out]| {
        for (line, out) in lines.zip(out.chunks_exact_mut(keys.max(1))) {
            let head = line / pos % heads;
            let (x, buckets) = (&x[line * keys..], &buckets[line % pos * keys..]);
            for ((out, x), bucket) in out.iter_mut().zip(x).zip(buckets) {
                *out = x + table[bucket * heads + head];
            }
        }
    })
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
    let buckets = checked(buckets, table)?;
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
                for (ct, bucket) in ct[from..from + square].iter().zip(&buckets) {
                    out[bucket * heads + head] += ct;
                }
            }
        }
        Ok(())
    })
}

fn checked(buckets: &[i32], count: usize) -> Result<Vec<usize>, KernelError> {
    buckets.iter().map(|&bucket| index_below("bucket", bucket, count)).collect()
}
