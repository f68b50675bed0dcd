use super::groups::Groups;
use super::per_isa::per_isa;
use super::split::{Rows, expect_len, row_count, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;

/// Columns of one task: a few cache lines of each row.
const COLUMNS: usize = 128;

per_isa! {
    /// Adds columns that begin with the first of `ct` and `x`, rows being `width` apart.
    fn add_rows(out: &mut [f32], ct: &[f32], x: Option<&[f32]>, rows: usize, width: usize) {
        let count = out.len();
        for row in 0..rows {
            let ct = &ct[row * width..row * width + count];
            match x {
                Some(x) => {
                    for ((out, ct), x) in out.iter_mut().zip(ct).zip(&x[row * width..row * width + count]) {
                        *out = ct.mul_add(*x, *out);
                    }
                }
                None => {
                    for (out, ct) in out.iter_mut().zip(ct) {
                        *out += ct;
                    }
                }
            }
        }
    }
}

/// out[c, j] = Σ_t ct[t, j] (· x[t, j]) over the rows t of group c: [groups, N] of ct [rows, N]. One chain over the rows
/// ascending from +0, fused where there is x. Bounded: rows·u·Σ|terms|.
pub fn column_sum(
    ctx: &Context<'_>,
    ct: &[f32],
    x: Option<&[f32]>,
    [count, n]: [usize; 2],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("out of column_sum", out.len(), &[count, n])?;
    if out.is_empty() {
        return ctx.result();
    }
    let ct_rows = row_count("ct of column_sum", ct.len(), n)?;
    let own = [ct_rows, x.map_or(Ok(ct_rows), |x| row_count("x of column_sum", x.len(), n))?];
    let groups = Groups::new(count, &own)?;
    let blocks = n.div_ceil(COLUMNS);
    let out = Rows::new(out, 1);
    try_tasks(ctx, count * blocks, &|task| {
        let (group, block) = (task / blocks, task % blocks);
        let columns = block * COLUMNS..n.min((block + 1) * COLUMNS);
        // SAFETY: each task has columns of its own.
        let out = unsafe { out.take(group * n + columns.start..group * n + columns.end) };
        out.fill(0.0);
        for stretch in groups.stretches(own) {
            let part = |input, own| {
                let start = groups.row(group, stretch.start, own) * n + columns.start;
                <[f32]>::get(input, start..).unwrap_or_default()
            };
            add_rows(ctx.isa, out, part(ct, own[0]), x.map(|x| part(x, own[1])), stretch.len(), n);
        }
        Ok(())
    })
}
