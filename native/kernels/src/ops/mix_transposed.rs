use super::scores::{Heads, QUERIES};
use super::split::{Rows, expect_len, try_tasks};
use crate::bmm::{Sizes, View, Zeros, product_onto};
use crate::error::KernelError;
use crate::gemm::{Context, RowsMut};
use crate::scratch::with_scratch;

/// out[r, j, g] = Σ_{h of g} Σ_i pattern[r, h, i, j] · x[r, i, h]: what comes back to a value from the queries that read it. One
/// chain from +0 over the heads of the group and in each over the queries, ascending. A weight of exactly 0 reads nothing.
/// x is [rows, pos, heads, width], out [rows, keys, kv_heads, width]. Bounded: heads of a group·pos·u·Σ|terms|.
pub fn mix_transposed(
    ctx: &Context<'_>,
    heads: Heads,
    pattern: &[f32],
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    heads.check()?;
    expect_len("pattern of mix_transposed", pattern.len(), &heads.square_len())?;
    expect_len("x of mix_transposed", x.len(), &heads.query_len())?;
    expect_len("out of mix_transposed", out.len(), &heads.key_len())?;
    if out.is_empty() {
        return ctx.result();
    }
    let Heads { pos, keys, heads: count, kv_heads, width, .. } = heads;
    let blocks = keys.div_ceil(QUERIES);
    let out = Rows::new(out, width);
    try_tasks(ctx, heads.rows * kv_heads * blocks, &|task| {
        let (product, block) = (task / blocks, task % blocks);
        let (row, kv_head) = (product / kv_heads, product % kv_heads);
        let mine = block * QUERIES..keys.min((block + 1) * QUERIES);
        let done = with_scratch(mine.len() * width, |sum| {
            sum.fill(0.0);
            for head in heads.group(kv_head) {
                let square = (row * count + head) * pos * keys + mine.start;
                let a = View { data: pattern.get(square..).unwrap_or_default(), row: 1, column: keys };
                let from = (row * pos * count + head) * width;
                let b = View { data: x.get(from..).unwrap_or_default(), row: count * width, column: 1 };
                let c = RowsMut { data: &mut *sum, rows: mine.len(), step: width };
                product_onto(ctx, Sizes { m: mine.len(), n: width, k: pos }, a, b, c, Zeros::Skip)?;
            }
            for (key, sum) in mine.clone().zip(sum.chunks_exact(width)) {
                let vector = (row * keys + key) * kv_heads + kv_head;
                // SAFETY: a vector belongs to one key of one head of one row, so to one task.
                unsafe { out.take(vector..vector + 1) }.copy_from_slice(sum);
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "sums of a block of keys" })?
    })
}
