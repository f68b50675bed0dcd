use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

/// How many positions each part has, and the entries of a position.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub past: usize,
    pub pos: usize,
    pub width: usize,
}

/// out[r] = past[r] followed by x[r]: the keys or values of earlier positions and of new ones. Exact.
pub fn concat_positions(
    ctx: &Context<'_>,
    sizes: Sizes,
    past: &[f32],
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, past: before, pos, width } = sizes;
    expect_len("past of concat_positions", past.len(), &[rows, before, width])?;
    expect_len("x of concat_positions", x.len(), &[rows, pos, width])?;
    let keys = before + pos;
    expect_len("out of concat_positions", out.len(), &[rows, keys, width])?;
    fill_rows(ctx, rows * keys, width, [(out, width)], &|places, [out]| {
        for (place, out) in places.zip(out.chunks_exact_mut(width.max(1))) {
            let (row, key) = (place / keys, place % keys);
            let (part, from) = if key < before { (past, row * before + key) } else { (x, row * pos + key - before) };
            out.copy_from_slice(&part[from * width..(from + 1) * width]);
        }
    })
}
