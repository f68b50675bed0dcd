use super::edge_read::{Sizes, add_scaled};
use super::scatter_rows::add_to;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

/// One writer of a read: its place in the mask [rows, copies, writers].
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub mask: &'a [f32],
    pub at: usize,
}

/// The cotangent of x under edge_read, the sum of ct [rows, pos, copies, width] over the copies ascending; or that of one
/// writer, Σ_h mask[r, h, writer] · ct, each step fused. Both from +0. A mask of exactly 0 reads nothing. Exact.
pub fn edge_read_grad(
    ctx: &Context<'_>,
    sizes: Sizes,
    ct: &[f32],
    writer: Option<Writer<'_>>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, pos, width, copies } = sizes;
    expect_len("ct of edge_read_grad", ct.len(), &[rows, pos, copies, width])?;
    expect_len("out of edge_read_grad", out.len(), &[rows, pos, width])?;
    let mut writers = 0;
    if let Some(Writer { mask, at }) = writer {
        writers = mask.len().checked_div(rows * copies).unwrap_or(0);
        expect_len("mask of edge_read_grad", mask.len(), &[rows, copies, writers])?;
        if at >= writers && !mask.is_empty() {
            return Err(KernelError::OutOfRange { what: "writer", limit: writers, got: at });
        }
    }
    if out.is_empty() {
        return ctx.result();
    }
    fill_rows(ctx, rows * pos, copies * width, [(out, width)], &|tokens, [out]| {
        for (token, out) in tokens.zip(out.chunks_exact_mut(width)) {
            let reads = ct[token * copies * width..(token + 1) * copies * width].chunks_exact(width);
            out.fill(0.0);
            for (copy, ct) in reads.enumerate() {
                let Some(Writer { mask, at }) = writer else {
                    add_to(ctx.isa, out, ct);
                    continue;
                };
                let factor = mask[(token / pos * copies + copy) * writers + at];
                if factor != 0.0 {
                    add_scaled(ctx.isa, out, factor, ct);
                }
            }
        }
    })
}
