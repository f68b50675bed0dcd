use super::bias_act_top_k::Kept;
use super::split::{Rows, expect_len, for_rows};
use super::top_k::Best;
use crate::error::KernelError;
use crate::gemm::Context;

/// The k first entries of each row of `width` that are not 0, in the order of top-k; NaN is not 0. The rest is value 0 and
/// index −1. Exact.
pub fn active_top_k(ctx: &Context<'_>, x: &[f32], width: usize, k: usize, to: Kept<'_>) -> Result<(), KernelError> {
    if i32::try_from(width).is_err() {
        return Err(KernelError::TooLarge { what: "row of active_top_k" });
    }
    let rows = to.count.len();
    expect_len("x of active_top_k", x.len(), &[rows, width])?;
    expect_len("values of active_top_k", to.values.len(), &[rows, k])?;
    expect_len("indices of active_top_k", to.indices.len(), &[rows, k])?;
    let (values, indices, count) = (Rows::new(to.values, k), Rows::new(to.indices, k), Rows::new(to.count, 1));
    for_rows(ctx, rows, width + 2 * k, &|rows| {
        let mut best = Best::new(k, width, f32::NEG_INFINITY);
        for row in rows {
            best.clear();
            for (index, &value) in x[row * width..(row + 1) * width].iter().enumerate() {
                if value != 0.0 {
                    best.offer(value, index);
                }
            }
            let row = row..row + 1;
            // SAFETY: `for_rows` gives each row to one call.
            let (values, indices, count) =
                unsafe { (values.take(row.clone()), indices.take(row.clone()), count.take(row)) };
            count[0] = best.write(values, indices) as i32;
        }
    })
}
