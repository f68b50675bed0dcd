use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

/// out[r] = the channels of parts[0][r], then those of parts[1][r], …: each part is its entries and how many of them a row
/// has. Exact.
pub fn concat_channels(ctx: &Context<'_>, parts: &[(&[f32], usize)], out: &mut [f32]) -> Result<(), KernelError> {
    let width: usize = parts.iter().map(|(_, width)| width).sum();
    let rows = row_count("out of concat_channels", out.len(), width)?;
    for (part, width) in parts {
        expect_len("x of concat_channels", part.len(), &[rows, *width])?;
    }
    fill_rows(ctx, rows, width, [(out, width)], &|range, [out]| {
        for (row, mut out) in range.zip(out.chunks_exact_mut(width.max(1))) {
            for (part, width) in parts {
                let (own, rest) = out.split_at_mut(*width);
                own.copy_from_slice(&part[row * width..(row + 1) * width]);
                out = rest;
            }
        }
    })
}

/// Some entries of each row of x, from `first` on, as many as a row of the output has. Exact.
pub fn slice_channels(
    ctx: &Context<'_>,
    x: &[f32],
    [rows, before, first, count]: [usize; 4],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of slice_channels", x.len(), &[rows, before])?;
    expect_len("out of slice_channels", out.len(), &[rows, count])?;
    if first.checked_add(count).is_none_or(|end| end > before) {
        return Err(KernelError::Shape { what: "channels of slice_channels", expected: before, got: first });
    }
    fill_rows(ctx, rows, count, [(out, count)], &|range, [out]| {
        for (row, out) in range.zip(out.chunks_exact_mut(count.max(1))) {
            out.copy_from_slice(&x[row * before + first..][..count]);
        }
    })
}
