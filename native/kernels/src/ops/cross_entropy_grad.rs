use super::cross_entropy::IGNORED;
use super::math::exp;
use super::per_isa::per_isa;
use super::softmax::row_max;
use super::split::{expect_len, fill_rows, index_below};
use super::tree::{LANES, add_lanes};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn row_grads(out: &mut [f32], logits: &[f32], width: usize, ids: &[i32], ct: &[f32]) {
        let rows = out.chunks_exact_mut(width).zip(logits.chunks_exact(width)).zip(ids).zip(ct);
        for (((out, row), id), &ct) in rows {
            if *id == IGNORED {
                out.fill(0.0);
                continue;
            }
            let id = *id as usize;
            let max = row_max(row);
            if max == f32::NEG_INFINITY {
                // As softmax: nothing is likely, unless there is a NaN.
                let nothing = row.iter().all(|x| !x.is_nan());
                out.fill(ct * if nothing { 0.0 } else { f32::NAN });
                out[id] -= ct;
                continue;
            }
            let mut lanes = [0.0f32; LANES];
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            let (rows, row_rest) = row.as_chunks::<LANES>();
            for (out, row) in outs.iter_mut().zip(rows) {
                for lane in 0..LANES {
                    out[lane] = exp(row[lane] - max);
                    lanes[lane] += out[lane];
                }
            }
            for ((out, x), lane) in out_rest.iter_mut().zip(row_rest).zip(&mut lanes) {
                *out = exp(x - max);
                *lane += *out;
            }
            let total = add_lanes(lanes);
            let likely = out[id] / total;
            for out in out.iter_mut() {
                *out = ct * (*out / total);
            }
            out[id] = ct * (likely - 1.0);
        }
    }
}

/// The cotangent of the logits under cross_entropy: ct·(softmax − one-hot) in rows of `vocabulary`, softmax with its own bits;
/// 0 where the id is −100, whatever stands in the row. A row with NaN or +∞ gives NaN.
/// Bounded: |ct| times the bound of softmax, plus 2u·|out|.
pub fn cross_entropy_grad(
    ctx: &Context<'_>,
    logits: &[f32],
    ids: &[i32],
    ct: &[f32],
    vocabulary: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("logits of cross_entropy_grad", logits.len(), &[ids.len(), vocabulary])?;
    expect_len("ct of cross_entropy_grad", ct.len(), &[ids.len()])?;
    expect_len("out of cross_entropy_grad", out.len(), &[logits.len()])?;
    for &id in ids.iter().filter(|&&id| id != IGNORED) {
        index_below("token id", id, vocabulary)?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    fill_rows(ctx, ids.len(), 16 * vocabulary, [(out, vocabulary)], &|rows, [out]| {
        let part = &logits[rows.start * vocabulary..rows.end * vocabulary];
        row_grads(ctx.isa, out, part, vocabulary, &ids[rows.clone()], &ct[rows]);
    })
}
