use std::ops::Range;
use std::sync::OnceLock;

use super::per_isa::per_isa;
use super::split::{Rows as OutRows, expect_len, try_tasks};
use super::top_k::{Best, offer_row};
use crate::error::KernelError;
use crate::gemm::{Context, PACKED_FLOATS, PackedRows, Rows, RowsMut, with_packed_rows};
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// Which latents count.
#[derive(Clone, Copy, Debug)]
pub enum Activation<'a> {
    /// All.
    None,
    /// Those above 0.
    Relu,
    /// Those above their threshold, and not 0 (JumpReLU).
    Threshold(&'a [f32]),
}

/// Where the kept latents go: values and indices [tokens, k], count [tokens].
#[derive(Debug)]
pub struct Kept<'a> {
    pub values: &'a mut [f32],
    pub indices: &'a mut [i32],
    pub count: &'a mut [i32],
}

/// Tokens that one task takes: their packed rows stay in L2 while the panels of the dictionary pass by.
pub(super) const TOKENS: usize = 264;
/// Latents of one piece of the product, which stays in L2 while it is searched.
pub(super) const LATENTS: usize = 128;

per_isa! {
    /// Makes latents that do not count −∞. One that counts exceeds its threshold, so it is not −∞ itself.
    pub(super) fn hide_inactive(row: &mut [f32], thresholds: &[f32]) {
        for (value, threshold) in row.iter_mut().zip(thresholds) {
            // NaN is neither at most the threshold nor 0, so it counts.
            *value = if (*value <= *threshold) | (*value == 0.0) { f32::NEG_INFINITY } else { *value };
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
    let (width, tokens) = (w.k(), to.count.len());
    let wanted = Wanted { bias, activation, k };
    wanted.check(x, [width, w.n()], &to)?;
    let project = Project { ctx, w, wanted };
    let at_once = (PACKED_FLOATS / width.max(1)).max(TOKENS);
    for first in (0..tokens).step_by(at_once) {
        let rows = first..tokens.min(first + at_once);
        let a = Rows { data: &x[rows.start * width..rows.end * width], rows: rows.len(), step: width };
        let kept = Kept {
            values: &mut to.values[rows.start * k..rows.end * k],
            indices: &mut to.indices[rows.start * k..rows.end * k],
            count: &mut to.count[rows],
        };
        with_packed_rows(ctx, a, width, |a| project.rows(&a, kept))??;
    }
    ctx.result()
}

/// What is asked of a projection, however it is computed.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub bias: Option<&'a [f32]>,
    pub activation: Activation<'a>,
    pub k: usize,
}

impl Wanted<'_> {
    /// That all slices fit a dictionary [width, latents].
    pub fn check(&self, x: &[f32], [width, latents]: [usize; 2], to: &Kept<'_>) -> Result<(), KernelError> {
        let tokens = to.count.len();
        expect_len("x of a projection", x.len(), &[tokens, width])?;
        expect_len("values of a projection", to.values.len(), &[tokens, self.k])?;
        expect_len("indices of a projection", to.indices.len(), &[tokens, self.k])?;
        self.check_dictionary(latents)
    }

    /// That bias and thresholds fit a dictionary of so many latents.
    pub fn check_dictionary(&self, latents: usize) -> Result<(), KernelError> {
        if i32::try_from(latents).is_err() {
            return Err(KernelError::TooLarge { what: "dictionary of a projection" });
        }
        if let Some(bias) = self.bias {
            expect_len("bias of a projection", bias.len(), &[latents])?;
        }
        if let Activation::Threshold(thresholds) = self.activation {
            expect_len("thresholds of a projection", thresholds.len(), &[latents])?;
        }
        Ok(())
    }

    /// No latent below it counts.
    pub fn lowest(&self) -> f32 {
        match self.activation {
            Activation::None => f32::NEG_INFINITY,
            // The least number above 0.
            Activation::Relu => f32::from_bits(1),
            Activation::Threshold(_) => f32::MIN,
        }
    }
}

struct Project<'a> {
    ctx: &'a Context<'a>,
    w: &'a PackedMatrix,
    wanted: Wanted<'a>,
}

impl Project<'_> {
    fn rows(&self, a: &PackedRows<'_>, to: Kept<'_>) -> Result<(), KernelError> {
        let per_group = a.blocks.count.div_ceil(a.blocks.rows.div_ceil(TOKENS).max(1)).max(1);
        let groups = Groups {
            count: a.blocks.count.div_ceil(per_group),
            first: &|group| a.blocks.range(group * per_group).start,
            latents: self.w.n(),
            piece: LATENTS,
            per_thread: 2,
        };
        search_groups(self.ctx, groups, self.wanted.k, to, &|group, latents| {
            let blocks = group * per_group..a.blocks.count.min((group + 1) * per_group);
            self.search(a, blocks, latents)
        })
    }

    /// The first k of a range of latents, for each row of some blocks.
    fn search(
        &self,
        a: &PackedRows<'_>,
        blocks: Range<usize>,
        latents: Range<usize>,
    ) -> Result<Vec<Best>, KernelError> {
        let rows = a.blocks.range(blocks.end - 1).end - a.blocks.range(blocks.start).start;
        let Wanted { bias, activation, k } = self.wanted;
        let lowest = self.wanted.lowest();
        let mut best: Vec<Best> = (0..rows).map(|_| Best::new(k, latents.len(), lowest)).collect();
        let done = with_scratch(rows * LATENTS, |piece| {
            for first in latents.clone().step_by(LATENTS) {
                let part = first..latents.end.min(first + LATENTS);
                let bias = bias.map(|bias| &bias[part.clone()]);
                let c = RowsMut { data: &mut *piece, rows, step: LATENTS };
                a.times(self.ctx, blocks.clone(), self.w, part.clone(), bias, c)?;
                for (row, best) in piece.chunks_exact_mut(LATENTS).zip(&mut best) {
                    let row = &mut row[..part.len()];
                    if let Activation::Threshold(thresholds) = activation {
                        hide_inactive(self.ctx.isa, row, &thresholds[part.clone()]);
                    }
                    offer_row(self.ctx.isa, best, row, first);
                }
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "piece of bias_act_top_k" })??;
        Ok(best)
    }
}

/// How tokens and latents are cut among threads.
pub(super) struct Groups<'a> {
    /// Groups of tokens.
    pub count: usize,
    /// The first token of a group.
    pub first: &'a dyn Fn(usize) -> usize,
    pub latents: usize,
    /// Ranges of latents begin at multiples of it.
    pub piece: usize,
    /// Tasks that each thread is to have at least.
    pub per_thread: usize,
}

/// The first k of a range of latents for each token of a group.
pub(super) type Search<'a> = dyn Fn(usize, Range<usize>) -> Result<Vec<Best>, KernelError> + Sync + 'a;

/// Groups of tokens are shared among the threads, and where these are few, ranges of latents too: each range keeps its own
/// first k, and the order of top-k makes one list of them that does not depend on the ranges.
pub(super) fn search_groups(
    ctx: &Context<'_>,
    groups: Groups<'_>,
    k: usize,
    to: Kept<'_>,
    search: &Search<'_>,
) -> Result<(), KernelError> {
    let Groups { count, first, latents, piece, per_thread } = groups;
    let firsts: Vec<usize> = (0..count).map(first).collect();
    let wanted = if ctx.threads > 1 { (per_thread * ctx.threads).div_ceil(count.max(1)) } else { 1 };
    let per_range = latents.div_ceil(piece).div_ceil(wanted).max(1) * piece;
    let ranges = latents.div_ceil(per_range).max(1);
    let found: Vec<OnceLock<Vec<Best>>> = (0..count * ranges).map(|_| OnceLock::new()).collect();
    try_tasks(ctx, count * ranges, &|task| {
        let (group, range) = (task / ranges, task % ranges);
        let best = search(group, range * per_range..latents.min((range + 1) * per_range))?;
        found[task].get_or_init(|| best);
        Ok(())
    })?;
    let (values, indices, counts) =
        (OutRows::new(to.values, k), OutRows::new(to.indices, k), OutRows::new(to.count, 1));
    try_tasks(ctx, count, &|group| {
        let lists: Vec<&[Best]> =
            (0..ranges).filter_map(|range| found[group * ranges + range].get().map(Vec::as_slice)).collect();
        let Some((own, others)) = lists.split_first() else { return Ok(()) };
        for (at, best) in own.iter().enumerate() {
            let mut best = best.clone();
            for other in others {
                best.absorb(&other[at]);
            }
            let row = firsts[group] + at..firsts[group] + at + 1;
            // SAFETY: each group has rows of its own.
            let (values, indices, count) =
                unsafe { (values.take(row.clone()), indices.take(row.clone()), counts.take(row)) };
            count[0] = best.write(values, indices) as i32;
        }
        Ok(())
    })
}
