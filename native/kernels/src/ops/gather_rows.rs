use super::split::{expect_len, fill_rows, index_below};
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of x [rows, pos, width] and of the index [rows, groups].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub pos: usize,
    pub groups: usize,
    pub width: usize,
}

/// out[r, g] = x[r, index[r, g]]: each row of the batch picks its own positions. Exact.
pub fn gather_rows(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    index: &[i32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, pos, groups, width } = sizes;
    expect_len("x of gather_rows", x.len(), &[rows, pos, width])?;
    expect_len("index of gather_rows", index.len(), &[rows, groups])?;
    expect_len("out of gather_rows", out.len(), &[rows, groups, width])?;
    let index = index
        .iter()
        .map(|&at| index_below("position to gather", at, pos))
        .collect::<Result<Vec<usize>, KernelError>>()?;
    fill_rows(ctx, rows * groups, width, [(out, width)], &|picks, [out]| {
        for (pick, out) in picks.zip(out.chunks_exact_mut(width.max(1))) {
            let from = (pick / groups * pos + index[pick]) * width;
            out.copy_from_slice(&x[from..from + width]);
        }
    })
}
