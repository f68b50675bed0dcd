use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of the read [rows, pos, copies, width].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub pos: usize,
    pub width: usize,
    /// Heads of the reader; 1 for a reader without heads.
    pub copies: usize,
}

per_isa! {
    pub(crate) fn add_scaled(out: &mut [f32], factor: f32, delta: &[f32]) {
        for (out, delta) in out.iter_mut().zip(delta) {
            *out = factor.mul_add(*delta, *out);
        }
    }
}

/// What each head of a reader sees when some of its writers are replaced: x + Σ_u mask[r, h, u] · delta_u, u ascending,
/// each step fused, out [rows, pos, copies, width]. A mask of exactly 0 leaves the sum untouched, so an edge that is not
/// cut gives the bits of x even where delta is NaN. x and each delta may have fewer rows that divide `rows`: row r reads
/// r % theirs, so that variants share what they do not change. Without writers the mask is empty. Exact.
pub fn edge_read(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    deltas: &[&[f32]],
    mask: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, pos, width, copies } = sizes;
    expect_shared("x of edge_read", x.len(), rows, pos * width)?;
    for delta in deltas {
        expect_shared("delta of edge_read", delta.len(), rows, pos * width)?;
    }
    let writers = deltas.len();
    expect_len("mask of edge_read", mask.len(), &[rows, copies, writers])?;
    expect_len("out of edge_read", out.len(), &[rows, pos, copies, width])?;
    if out.is_empty() {
        return ctx.result();
    }
    fill_rows(ctx, rows * pos * copies, (writers + 1) * width, [(out, width)], &|reads, [out]| {
        for (read, out) in reads.zip(out.chunks_exact_mut(width)) {
            let (token, copy) = (read / copies, read % copies);
            let at = token * width;
            let own = at % x.len();
            out.copy_from_slice(&x[own..own + width]);
            let first = (token / pos * copies + copy) * writers;
            for (factor, delta) in mask[first..first + writers].iter().zip(deltas).filter(|(factor, _)| **factor != 0.0)
            {
                let from = at % delta.len();
                add_scaled(ctx.isa, out, *factor, &delta[from..from + width]);
            }
        }
    })
}

/// Whole rows of `size` entries, as many as `rows` or a divisor of it.
fn expect_shared(what: &'static str, len: usize, rows: usize, size: usize) -> Result<(), KernelError> {
    let own = len.checked_div(size).unwrap_or(rows);
    let shared = own != 0 && rows.is_multiple_of(own);
    expect_len(what, len, &[if shared { own } else { rows }, size])
}
