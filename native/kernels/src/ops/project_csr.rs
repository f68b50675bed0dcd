use std::cmp::Ordering;
use std::ops::Range;
use std::sync::OnceLock;

use super::bias_act_top_k::{Activation, LATENTS, TOKENS, Wanted, hide_inactive};
use super::csr::{Collector, Csr, Hit, Keep};
use super::split::{expect_len, try_tasks};
use super::top_k::for_hits;
use crate::error::KernelError;
use crate::gemm::{Context, PACKED_FLOATS, PackedRows, Rows, RowsMut, with_packed_rows};
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// Reads each token x [tokens, K] through a dictionary W [K, F] and writes its active latents as sparse rows: all of them, or
/// the first of the whole batch. NaN counts as active. Never holds tokens × F, nor more entries than twice what there is room
/// for. Values have the bits of linear; which are kept is exact given the values.
pub fn project_csr(
    ctx: &Context<'_>,
    x: &[f32],
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    activation: Activation<'_>,
    keep: Keep,
    to: Csr<'_>,
) -> Result<(), KernelError> {
    let (width, tokens) = (w.k(), to.tokens()?);
    let wanted = Wanted { bias, activation, k: 0 };
    wanted.check_dictionary(w.n())?;
    expect_len("x of a projection", x.len(), &[tokens, width])?;
    let mut collector = Collector::new(keep, to)?;
    let at_once = (PACKED_FLOATS / width.max(1)).max(TOKENS);
    for first in (0..tokens).step_by(at_once) {
        let rows = first..tokens.min(first + at_once);
        let a = Rows { data: &x[rows.start * width..rows.end * width], rows: rows.len(), step: width };
        with_packed_rows(ctx, a, width, |a| stretch(ctx, &a, w, wanted, first, &mut collector))??;
    }
    ctx.result()?;
    collector.finish()
}

/// The tokens that are packed together. Groups of them are shared among the threads, and where these are few, ranges of
/// latents too; hits are put together in the order of both.
fn stretch(
    ctx: &Context<'_>,
    a: &PackedRows<'_>,
    w: &PackedMatrix,
    wanted: Wanted<'_>,
    first_token: usize,
    collector: &mut Collector<'_>,
) -> Result<(), KernelError> {
    let per_group = a.blocks.count.div_ceil(a.blocks.rows.div_ceil(TOKENS).max(1)).max(1);
    let groups = a.blocks.count.div_ceil(per_group);
    let shares = if ctx.threads > 1 { (2 * ctx.threads).div_ceil(groups.max(1)) } else { 1 };
    let per_range = w.n().div_ceil(LATENTS).div_ceil(shares).max(1) * LATENTS;
    let ranges = w.n().div_ceil(per_range).max(1);
    let found: Vec<OnceLock<Vec<Hit>>> = (0..groups * ranges).map(|_| OnceLock::new()).collect();
    let shared = &*collector;
    try_tasks(ctx, found.len(), &|task| {
        let (group, range) = (task / ranges, task % ranges);
        let blocks = group * per_group..a.blocks.count.min((group + 1) * per_group);
        let latents = range * per_range..w.n().min((range + 1) * per_range);
        let hits = search(ctx, a, blocks, w, wanted, latents, first_token, shared)?;
        found[task].get_or_init(|| hits);
        Ok(())
    })?;
    collector.place(first_token..first_token + a.blocks.rows, found.into_iter().filter_map(OnceLock::into_inner))
}

/// The active latents of a range, for each row of some blocks.
#[allow(clippy::too_many_arguments)]
fn search(
    ctx: &Context<'_>,
    a: &PackedRows<'_>,
    blocks: Range<usize>,
    w: &PackedMatrix,
    wanted: Wanted<'_>,
    latents: Range<usize>,
    first_token: usize,
    collector: &Collector<'_>,
) -> Result<Vec<Hit>, KernelError> {
    let first_row = a.blocks.range(blocks.start).start;
    let rows = a.blocks.range(blocks.end - 1).end - first_row;
    let lowest = wanted.lowest();
    let (mut hits, mut counted) = (Vec::new(), 0);
    let done = with_scratch(rows * LATENTS, |piece| {
        for first in latents.clone().step_by(LATENTS) {
            let part = first..latents.end.min(first + LATENTS);
            let bias = wanted.bias.map(|bias| &bias[part.clone()]);
            let c = RowsMut { data: &mut *piece, rows, step: LATENTS };
            a.times(ctx, blocks.clone(), w, part.clone(), bias, c)?;
            for (row, values) in piece.chunks_exact_mut(LATENTS).enumerate() {
                let values = &mut values[..part.len()];
                if let Activation::Threshold(thresholds) = wanted.activation {
                    hide_inactive(ctx.isa, values, &thresholds[part.clone()]);
                }
                let floor = collector.floor(lowest);
                let token = (first_token + first_row + row) as u32;
                for_hits(ctx.isa, values, floor, &mut |at, value| {
                    if value.partial_cmp(&floor) != Some(Ordering::Less) {
                        hits.push(Hit { token, latent: (first + at) as u32, value });
                    }
                    floor
                });
            }
            collector.take(&mut hits, &mut counted)?;
        }
        Ok(())
    });
    done.ok_or(KernelError::TooLarge { what: "piece of project_csr" })??;
    Ok(hits)
}

/// As [`project_csr`] from latents that were computed before, x [tokens, width]: active are those that are not 0.
pub fn active_csr(ctx: &Context<'_>, x: &[f32], width: usize, keep: Keep, to: Csr<'_>) -> Result<(), KernelError> {
    let tokens = to.tokens()?;
    if i32::try_from(width).is_err() {
        return Err(KernelError::TooLarge { what: "row of active_csr" });
    }
    expect_len("x of active_csr", x.len(), &[tokens, width])?;
    let mut collector = Collector::new(keep, to)?;
    let at_once = TOKENS;
    let found: Vec<OnceLock<Vec<Hit>>> = (0..tokens.div_ceil(at_once)).map(|_| OnceLock::new()).collect();
    let shared = &collector;
    try_tasks(ctx, found.len(), &|task| {
        let (mut hits, mut counted) = (Vec::new(), 0);
        for token in task * at_once..tokens.min((task + 1) * at_once) {
            let floor = shared.floor(f32::NEG_INFINITY);
            for (latent, &value) in x[token * width..(token + 1) * width].iter().enumerate() {
                if value != 0.0 && value.partial_cmp(&floor) != Some(Ordering::Less) {
                    hits.push(Hit { token: token as u32, latent: latent as u32, value });
                }
            }
            shared.take(&mut hits, &mut counted)?;
        }
        found[task].get_or_init(|| hits);
        Ok(())
    })?;
    collector.place(0..tokens, found.into_iter().filter_map(OnceLock::into_inner))?;
    ctx.result()?;
    collector.finish()
}
