use super::math::{exp, log};
use super::per_isa::per_isa;
use super::softmax::row_max;
use super::split::{expect_len, fill_rows, index_below};
use super::tree::{LANES, add_lanes};
use crate::error::KernelError;
use crate::gemm::Context;

/// The id that asks for no loss at a position.
pub const IGNORED: i32 = -100;

per_isa! {
    fn row_losses(out: &mut [f32], logits: &[f32], width: usize, ids: &[i32]) {
        for ((out, row), id) in out.iter_mut().zip(logits.chunks_exact(width)).zip(ids) {
            if *id == IGNORED {
                *out = 0.0;
                continue;
            }
            let max = row_max(row);
            let mut lanes = [0.0f32; LANES];
            let (chunks, rest) = row.as_chunks::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    lanes[lane] += exp(chunk[lane] - max);
                }
            }
            for (lane, x) in lanes.iter_mut().zip(rest) {
                *lane += exp(x - max);
            }
            *out = log(add_lanes(lanes)) + (max - row[*id as usize]);
        }
    }
}

/// loss[i] = log Σ_v exp(logits[i, v]) − logits[i, ids[i]], in nats; 0 where the id is −100. Computed as
/// log Σ exp(x − max) + (max − x[id]), the sum by the fixed tree. A row with NaN or +∞ gives NaN.
/// Bounded: u·((⌈V/32⌉ + 16) + 2·loss + 4·|max − x[id]|).
pub fn cross_entropy(
    ctx: &Context<'_>,
    logits: &[f32],
    ids: &[i32],
    vocabulary: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("logits of cross_entropy", logits.len(), &[ids.len(), vocabulary])?;
    expect_len("out of cross_entropy", out.len(), &[ids.len()])?;
    for &id in ids.iter().filter(|&&id| id != IGNORED) {
        index_below("token id", id, vocabulary)?;
    }
    if vocabulary == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    fill_rows(ctx, ids.len(), 16 * vocabulary, [(out, 1)], &|rows, [out]| {
        let part = &logits[rows.start * vocabulary..rows.end * vocabulary];
        row_losses(ctx.isa, out, part, vocabulary, &ids[rows]);
    })
}
