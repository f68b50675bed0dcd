use std::ops::Range;

use super::bias_act_top_k::{Activation, Groups, Kept, LATENTS, Wanted, search_groups};
use super::per_isa::per_isa;
use super::top_k::{Best, for_hits};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::micro::prefetch;
use crate::screen::{Bits, COLUMNS, Few, ROWS, Screen, above, tile};
use crate::sweep::Blocks;

const U: f64 = 1.0 / (1u32 << 24) as f64;
/// Tokens of a group: their few bits and sums stay in L2 while the dictionary passes by, and a row of it serves many of them.
const TOKENS: usize = 512;
/// Dimensions of a group of tokens that are multiplied in f32 when a few tower above the rest: a scale that holds them would
/// leave nothing of the others.
const APART: usize = 16;
/// How far a dimension must tower, in deviations of its token.
const TOWERS: f64 = 6.0;
/// Chains that run side by side, as one alone would wait for itself; more would have more pointers than registers.
const CHAINS: usize = 8;

/// As [`super::bias_act_top_k`], to the bit: the few bits of `w` bound every latent of every token from both sides, and
/// what may be among the first k is computed as the plain kernel computes it. The bounds of int8 are wide, so that there
/// a sum in f32, whose bound is narrow, stands in between.
///
/// The bound (Cauchy and Schwarz, for each token x and column w with their few bits x̃ and w̃):
/// |x·w − x̃·w̃| ≤ ‖x − x̃‖·‖w‖ + ‖x̃‖·‖w − w̃‖, and (2K + 64)·u·‖x‖·‖w‖ for all roundings on both ways (Higham 2002, §3.1).
/// Tokens that are not finite are computed as they are. Values bounded as linear; the choice is exact given the values.
pub fn screened_top_k(
    ctx: &Context<'_>,
    x: &[f32],
    w: &Screen,
    bias: Option<&[f32]>,
    activation: Activation<'_>,
    k: usize,
    to: Kept<'_>,
) -> Result<(), KernelError> {
    let (width, latents, tokens) = (w.k(), w.n(), to.count.len());
    let wanted = Wanted { bias, activation, k };
    wanted.check(x, [width, latents], &to)?;
    let search = Screened { ctx, w, wanted };
    let per_group = tokens.div_ceil(tokens.div_ceil(TOKENS).max(1)).max(1);
    // A range of the latents alone has a lower floor, so that more must be looked at: no more ranges than threads need.
    let groups = Groups {
        count: tokens.div_ceil(per_group),
        first: &|group| group * per_group,
        latents,
        piece: LATENTS,
        per_thread: 1,
    };
    search_groups(ctx, groups, k, to, &|group, latents| {
        let rows = group * per_group..tokens.min((group + 1) * per_group);
        search.rows(&x[rows.start * width..rows.end * width], rows.len(), latents)
    })
}

struct Screened<'a> {
    ctx: &'a Context<'a>,
    w: &'a Screen,
    wanted: Wanted<'a>,
}

/// One token.
struct Token<'a> {
    x: &'a [f32],
    /// Bound: `of_size`·size + `of_error`·error + what the bias adds, in the words of [`crate::screen::Columns`].
    of_size: f32,
    of_error: f32,
    /// Of the product in f32: `refined`·size + what the bias adds.
    refined: f32,
    scale: f32,
    /// Its entries in the dimensions apart.
    apart: Vec<f32>,
    floor: Floor,
    /// Upper bounds, with their latents, of what may count.
    open: Vec<(f32, u32)>,
}

/// What k latents of a token reach at least.
struct Floor {
    k: usize,
    /// Lower bounds of what counts, the k largest among them.
    bounds: Vec<f32>,
    /// No latent below it is among the first k.
    floor: f32,
}

impl Floor {
    #[inline]
    fn raise(&mut self, bound: f32) {
        if bound > self.floor && self.k > 0 {
            self.bounds.push(bound);
            if self.bounds.len() >= 2 * self.k + 32 {
                self.settle();
            }
        }
    }

    fn settle(&mut self) -> f32 {
        if self.bounds.len() >= self.k && self.k > 0 {
            let (_, last, _) = self.bounds.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
            self.floor = self.floor.max(*last);
            self.bounds.truncate(self.k);
        }
        self.floor
    }
}

/// Vectors over the latents of one piece.
struct Piece<'a> {
    size: &'a [f32],
    error: &'a [f32],
    scale: &'a [f32],
    offset: &'a [i32],
    bias: &'a [f32],
    /// What the bias and underflow add to a bound.
    slack: &'a [f32],
}

per_isa! {
    /// Upper bounds from sums in bf16, to which the products of the dimensions apart have been added.
    fn upper_bf16(sums: &[u32], with: &[f32; 2], piece: &Piece<'_>, out: &mut [f32]) {
        let length = out.len();
        let (sums, size, error) = (&sums[..length], &piece.size[..length], &piece.error[..length]);
        let (bias, slack) = (&piece.bias[..length], &piece.slack[..length]);
        for at in 0..length {
            let room = with[0].mul_add(size[at], with[1].mul_add(error[at], slack[at]));
            out[at] = (out[at] + f32::from_bits(sums[at])) + (bias[at] + room);
        }
    }
}

per_isa! {
    /// The same from sums of whole numbers.
    fn upper_int8(sums: &[u32], with: &[f32; 2], scale: f32, piece: &Piece<'_>, out: &mut [f32]) {
        let length = out.len();
        let (sums, size, error) = (&sums[..length], &piece.size[..length], &piece.error[..length]);
        let (bias, slack) = (&piece.bias[..length], &piece.slack[..length]);
        let (scales, offset) = (&piece.scale[..length], &piece.offset[..length]);
        for at in 0..length {
            let room = with[0].mul_add(size[at], with[1].mul_add(error[at], slack[at]));
            let sum = (sums[at] as i32).wrapping_sub(offset[at]) as f32;
            out[at] = sum.mul_add(scale * scales[at], out[at]) + (bias[at] + room);
        }
    }
}

per_isa! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        tree_dot(a, b)
    }
}

per_isa! {
    /// out += x·w
    fn add_scaled(x: f32, w: &[f32], out: &mut [f32]) {
        for (out, w) in out.iter_mut().zip(w) {
            *out = x.mul_add(*w, *out);
        }
    }
}

per_isa! {
    /// The chains of the plain product: from +0.0 over ascending k. The columns of the next call are asked for on the way, as
    /// they lie anywhere.
    fn chains(x: &[f32], columns: &[&[f32]; CHAINS], next: &[&[f32]; CHAINS]) -> [f32; CHAINS] {
        let (lines, rest) = x.as_chunks::<16>();
        let columns = columns.map(|column| column[..x.len()].as_chunks::<16>());
        let mut sums = [0f32; CHAINS];
        for (at, x) in lines.iter().enumerate() {
            for next in next {
                prefetch(next.as_ptr().wrapping_add(16 * at));
            }
            let columns = columns.map(|(lines, _)| &lines[at]);
            for step in 0..16 {
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = x[step].mul_add(column[step], *sum);
                }
            }
        }
        for (at, x) in rest.iter().enumerate() {
            for (sum, (_, rest)) in sums.iter_mut().zip(&columns) {
                *sum = x.mul_add(rest[at], *sum);
            }
        }
        sums
    }
}

impl Screened<'_> {
    /// Whether a latent of this value is above its threshold; NaN is.
    fn exceeds(&self, latent: usize, value: f32) -> bool {
        match self.wanted.activation {
            Activation::None => true,
            Activation::Relu => !matches!(value.partial_cmp(&0.0), Some(order) if order.is_le()),
            Activation::Threshold(thresholds) => {
                !matches!(value.partial_cmp(&thresholds[latent]), Some(order) if order.is_le())
            }
        }
    }

    /// Whether a latent of just this value counts: a zero does not, where there are thresholds.
    fn counts(&self, latent: usize, value: f32) -> bool {
        self.exceeds(latent, value) && !(value == 0.0 && matches!(self.wanted.activation, Activation::Threshold(_)))
    }

    /// The first k of a range of latents, for each of `count` tokens.
    fn rows(&self, x: &[f32], count: usize, latents: Range<usize>) -> Result<Vec<Best>, KernelError> {
        let width = self.w.k();
        let token = |row: usize| &x[row * width..(row + 1) * width];
        let finite: Vec<bool> = (0..count).map(|row| token(row).iter().all(|x| x.is_finite())).collect();
        let apart = dimensions_apart(self.w.bits(), x, width, &finite);
        let blocks = Blocks::new(count, ROWS);
        let words = self.w.words();
        let mut packed = vec![0u32; words * count];
        let mut tokens: Vec<Token<'_>> = (0..blocks.count)
            .flat_map(|block| {
                let rows = blocks.range(block);
                rows.clone().map(move |row| (rows.start, rows.len(), row)).collect::<Vec<_>>()
            })
            .map(|(first, height, row)| {
                let words = &mut packed[first * words..(first + height) * words];
                self.token(token(row), finite[row], &apart, &mut |word, value| {
                    words[word * height + row - first] = value;
                })
            })
            .collect();
        self.look(&blocks, &packed, &apart, &finite, &mut tokens, latents.clone())?;
        tokens.iter_mut().zip(&finite).map(|(token, &finite)| self.settle(token, finite, latents.clone())).collect()
    }

    fn token<'a>(&self, x: &'a [f32], finite: bool, apart: &[usize], put: &mut dyn FnMut(usize, u32)) -> Token<'a> {
        let mut rest = x.to_vec();
        for &at in apart {
            rest[at] = 0.0;
        }
        if !finite {
            rest.fill(0.0);
        }
        // Unsigned: 128 more than the number, which the offsets of the columns take back.
        let flip = if self.w.bits() == Bits::Int8 { 0x8080_8080 } else { 0 };
        let few = Few::of(self.w.bits(), &rest, &mut |word, value| put(word, value ^ flip));
        let norm = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let roundings = (2.0 * x.len() as f64 + 64.0) * U * 1.01;
        Token {
            x,
            of_size: above(few.error + roundings * (norm + few.error)),
            of_error: above(few.norm + few.error),
            refined: above(roundings * norm),
            scale: few.scale,
            apart: apart.iter().map(|&at| if finite { x[at] } else { 0.0 }).collect(),
            floor: Floor { k: self.wanted.k, bounds: Vec::new(), floor: self.wanted.lowest() },
            open: Vec::new(),
        }
    }

    /// Finds the latents of each finite token that may be among the first k.
    fn look(
        &self,
        blocks: &Blocks,
        packed: &[u32],
        apart: &[usize],
        finite: &[bool],
        tokens: &mut [Token<'_>],
        latents: Range<usize>,
    ) -> Result<(), KernelError> {
        let (isa, words, columns) = (self.ctx.isa, self.w.words(), &self.w.columns);
        let mut sums = vec![0u32; tokens.len() * LATENTS];
        let mut apart_rows = vec![0f32; apart.len() * LATENTS];
        let underflow = self.w.k() as f32 * f32::MIN_POSITIVE * 8.0;
        for first in latents.clone().step_by(LATENTS) {
            self.ctx.result()?;
            let part = first..latents.end.min(first + LATENTS);
            for panel in part.start / COLUMNS..part.end.div_ceil(COLUMNS) {
                let b = self.w.panel(panel);
                for block in 0..blocks.count {
                    let rows = blocks.range(block);
                    let a = &packed[rows.start * words..rows.end * words];
                    let out = &mut sums[rows.start * LATENTS + panel * COLUMNS - part.start..];
                    tile(isa, self.w.bits(), a, rows.len(), b, out, LATENTS);
                }
            }
            for (line, &at) in apart_rows.chunks_exact_mut(LATENTS).zip(apart) {
                for (to, latent) in line.iter_mut().zip(part.clone()) {
                    *to = self.w.column(latent)[at];
                }
            }
            let mut bias = [0f32; LATENTS];
            if let Some(all) = self.wanted.bias {
                bias[..part.len()].copy_from_slice(&all[part.clone()]);
            }
            let slack = bias.map(|bias| bias.abs().mul_add(64.0 * U as f32, underflow));
            let piece = Piece {
                size: &columns.size[part.clone()],
                error: &columns.error[part.clone()],
                scale: &columns.scale[part.clone()],
                offset: &columns.offset[part.clone()],
                bias: &bias,
                slack: &slack,
            };
            for (row, token) in tokens.iter_mut().enumerate().filter(|(row, _)| finite[*row]) {
                let mut upper = [0f32; LATENTS];
                let upper = &mut upper[..part.len()];
                for (x, w) in token.apart.iter().zip(apart_rows.chunks_exact(LATENTS)) {
                    add_scaled(isa, *x, &w[..part.len()], upper);
                }
                let sums = &sums[row * LATENTS..row * LATENTS + part.len()];
                let with = [token.of_size, token.of_error];
                match self.w.bits() {
                    Bits::Bf16 => upper_bf16(isa, sums, &with, &piece, upper),
                    Bits::Int8 => upper_int8(isa, sums, &with, token.scale, &piece, upper),
                }
                let floor = token.floor.floor;
                for_hits(isa, upper, floor, &mut |at, bound| self.hit(token, part.start + at, bound, at, &piece));
            }
        }
        Ok(())
    }

    /// Keeps a latent that may still count. Gives the floor, as it is then.
    fn hit(&self, token: &mut Token<'_>, latent: usize, bound: f32, at: usize, piece: &Piece<'_>) -> f32 {
        let floor = token.floor.floor;
        // A bound that is not a number bounds nothing.
        if bound < floor {
            return floor;
        }
        // Not fused: this is no code for one instruction set, where a fused step would be a call.
        let (low, high) = match self.w.bits() {
            Bits::Bf16 => {
                let room = token.of_size * piece.size[at] + (token.of_error * piece.error[at] + piece.slack[at]);
                // A little lower than it need be, for the roundings of these very lines.
                (bound - 2.0001 * room, bound)
            }
            Bits::Int8 => {
                let value = dot(self.ctx.isa, token.x, self.w.column(latent)) + piece.bias[at];
                let room = 1.0001 * (token.refined * piece.size[at] + piece.slack[at]);
                (value - room, value + room)
            }
        };
        if high < floor || !self.exceeds(latent, high) {
            return floor;
        }
        token.open.push((high, latent as u32));
        // What surely counts raises the floor; what may be zero may not count.
        if low.is_finite() && self.exceeds(latent, low) && (low > 0.0 || high < 0.0 || self.counts(latent, 0.0)) {
            token.floor.raise(low);
        }
        token.floor.floor
    }

    /// The first k among what is left open, by the chains of the plain kernel.
    fn settle(&self, token: &mut Token<'_>, finite: bool, latents: Range<usize>) -> Result<Best, KernelError> {
        let mut best = Best::new(self.wanted.k, self.w.n(), self.wanted.lowest());
        if finite {
            let floor = token.floor.settle();
            token.open.retain(|&(high, _)| !matches!(high.partial_cmp(&floor), Some(std::cmp::Ordering::Less)));
        } else {
            token.open = latents.map(|latent| (f32::NAN, latent as u32)).collect();
        }
        let columns = |from: usize| {
            // Behind the last, the last again: its sums are passed over.
            let last = token.open.len() - 1;
            std::array::from_fn(|at| self.w.column(token.open[last.min(from + at)].1 as usize))
        };
        for (batch, some) in token.open.chunks(CHAINS).enumerate() {
            self.ctx.result()?;
            let from = batch * CHAINS;
            let sums = chains(self.ctx.isa, token.x, &columns(from), &columns(from + CHAINS));
            for (sum, &(_, latent)) in sums.iter().zip(some) {
                let latent = latent as usize;
                let value = self.wanted.bias.map_or(*sum, |bias| sum + bias[latent]);
                if self.counts(latent, value) {
                    best.offer(value, latent);
                }
            }
        }
        Ok(best)
    }
}

/// The dimensions, at most [`APART`], in which some token of the group towers above its other entries. Rounding to bf16 is
/// relative, so nothing need stand apart there.
fn dimensions_apart(bits: Bits, x: &[f32], width: usize, finite: &[bool]) -> Vec<usize> {
    if bits == Bits::Bf16 || width == 0 {
        return Vec::new();
    }
    let mut heights = vec![0f64; width];
    let mut sizes: Vec<f32> = Vec::new();
    for (x, _) in x.chunks_exact(width).zip(finite).filter(|(_, finite)| **finite) {
        // By the median, which the towers themselves do not move.
        sizes.clear();
        sizes.extend(x.iter().map(|x| x.abs()));
        let middle = width / 2;
        let (_, &mut median, _) = sizes.select_nth_unstable_by(middle, f32::total_cmp);
        let deviation = f64::from(median) / 0.6745;
        for (height, x) in heights.iter_mut().zip(x) {
            *height = height.max(f64::from(x.abs()) / deviation.max(f64::MIN_POSITIVE));
        }
    }
    let mut apart: Vec<usize> = (0..width).filter(|&at| heights[at] > TOWERS).collect();
    apart.sort_by(|a, b| heights[*b].total_cmp(&heights[*a]).then(a.cmp(b)));
    apart.truncate(APART);
    apart
}
