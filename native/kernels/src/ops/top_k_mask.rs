use super::split::{expect_len, fill_rows, row_count};
use super::top_k::{Best, offer_row};
use crate::error::KernelError;
use crate::gemm::Context;

/// Each row of `width` with all but its k first entries 0, in the order of top_k: value descending, NaN first, ties by index
/// ascending. Exact.
pub fn top_k_mask(ctx: &Context<'_>, x: &[f32], width: usize, k: usize, out: &mut [f32]) -> Result<(), KernelError> {
    if i32::try_from(width).is_err() {
        return Err(KernelError::TooLarge { what: "row of top_k_mask" });
    }
    expect_len("out of top_k_mask", out.len(), &[x.len()])?;
    let rows = row_count("x of top_k_mask", x.len(), width)?;
    fill_rows(ctx, rows, 2 * width, [(out, width)], &|rows, [out]| {
        let mut best = Best::new(k, width, f32::NEG_INFINITY);
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            let x = &x[row * width..(row + 1) * width];
            if k >= width {
                out.copy_from_slice(x);
                continue;
            }
            best.clear();
            offer_row(ctx.isa, &mut best, x, 0);
            out.fill(0.0);
            for (index, value) in best.kept() {
                out[index] = value;
            }
        }
    })
}
