use super::per_isa::per_isa;
use super::split::{Rows as OutRows, expect_len, try_tasks};
use super::top_k::{Best, offer_row};
use crate::error::KernelError;
use crate::gemm::{Context, Part, Rows, RowsMut, matmul_part};
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// Which latents count.
#[derive(Clone, Copy, Debug)]
pub enum Activation<'a> {
    /// All.
    None,
    /// Those above 0.
    Relu,
    /// Those above their threshold (JumpReLU).
    Threshold(&'a [f32]),
}

/// Where the kept latents go: values and indices [tokens, k], count [tokens].
#[derive(Debug)]
pub struct Kept<'a> {
    pub values: &'a mut [f32],
    pub indices: &'a mut [i32],
    pub count: &'a mut [i32],
}

/// Tokens and latents of one piece of the product: 128 KB, which stay in the second cache while they are searched.
const TOKENS: usize = 32;
const LATENTS: usize = 1024;

per_isa! {
    /// Makes latents that do not count −∞. One that counts exceeds its threshold, so it is not −∞ itself.
    fn hide_inactive(row: &mut [f32], thresholds: &[f32]) {
        for (value, threshold) in row.iter_mut().zip(thresholds) {
            // NaN is never at most the threshold, so it counts.
            *value = if *value <= *threshold { f32::NEG_INFINITY } else { *value };
        }
    }
}

/// Reads each token x [tokens, K] through a dictionary W [K, F] and keeps the k first of its active latents, in the order
/// of top-k. NaN counts as active. The rest of a row is value 0 and index −1. Never holds tokens × F.
/// Values bounded as linear; the choice is exact given the values.
pub fn bias_act_top_k(
    ctx: &Context<'_>,
    x: &[f32],
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    activation: Activation<'_>,
    k: usize,
    to: Kept<'_>,
) -> Result<(), KernelError> {
    let (width, latents, tokens) = (w.k(), w.n(), to.count.len());
    if i32::try_from(latents).is_err() {
        return Err(KernelError::TooLarge { what: "dictionary of bias_act_top_k" });
    }
    expect_len("x of bias_act_top_k", x.len(), &[tokens, width])?;
    expect_len("values of bias_act_top_k", to.values.len(), &[tokens, k])?;
    expect_len("indices of bias_act_top_k", to.indices.len(), &[tokens, k])?;
    if let Some(bias) = bias {
        expect_len("bias of bias_act_top_k", bias.len(), &[latents])?;
    }
    if let Activation::Threshold(thresholds) = activation {
        expect_len("thresholds of bias_act_top_k", thresholds.len(), &[latents])?;
    }
    let (values, indices, counts) =
        (OutRows::new(to.values, k), OutRows::new(to.indices, k), OutRows::new(to.count, 1));
    // Few tokens: one block of tokens after the other, its product shared by the threads. Many: a block each.
    let blocks = tokens.div_ceil(TOKENS);
    let outer = Context { threads: if blocks >= 2 * ctx.threads { ctx.threads } else { 1 }, ..*ctx };
    let zeros = [0.0; LATENTS];
    let lowest = if matches!(activation, Activation::None) { f32::NEG_INFINITY } else { f32::MIN };
    try_tasks(&outer, blocks, &|block| {
        let rows = block * TOKENS..tokens.min((block + 1) * TOKENS);
        let count = rows.len();
        let mut best: Vec<Best> = rows.clone().map(|_| Best::new(k, latents, lowest)).collect();
        let done = with_scratch(count * LATENTS, |piece| {
            for first in (0..latents).step_by(LATENTS) {
                let part = first..latents.min(first + LATENTS);
                let a = Rows { data: &x[rows.start * width..rows.end * width], rows: count, step: width };
                let c = RowsMut { data: &mut *piece, rows: count, step: LATENTS };
                let bias = bias.map(|bias| &bias[part.clone()]);
                matmul_part(ctx, a, w, Part { k: 0..width, n: part.clone() }, bias, c)?;
                for (row, best) in piece.chunks_exact_mut(LATENTS).zip(&mut best) {
                    let row = &mut row[..part.len()];
                    match activation {
                        Activation::None => {}
                        Activation::Relu => hide_inactive(ctx.isa, row, &zeros),
                        Activation::Threshold(thresholds) => hide_inactive(ctx.isa, row, &thresholds[part.clone()]),
                    }
                    offer_row(ctx.isa, best, row, first);
                }
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "piece of bias_act_top_k" })??;
        for (row, best) in rows.zip(&mut best) {
            // SAFETY: each task has rows of its own.
            let (values, indices, count) =
                unsafe { (values.take(row..row + 1), indices.take(row..row + 1), counts.take(row..row + 1)) };
            count[0] = best.write(values, indices) as i32;
        }
        Ok(())
    })
}
