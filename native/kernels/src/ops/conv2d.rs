use std::ops::Range;

use super::split::{Rows as Shared, expect_len, row_count, try_tasks};
use super::window::{Axis, Convolution, Plane};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::half::Dtype;
use crate::isa::Isa;
use crate::micro;
use crate::scratch::with_scratch;
use crate::sweep::{Blocks, Sweep, copy_line, pack_block};

/// Floats of the entries under the windows that a task lays side by side: a quarter of an L2.
const TILE: usize = 1 << 16;

/// The convolution of x [rows, groups·before, H, W] with W [groups·after, before, kh, kw]: [rows, groups·after, OH, OW]. Each
/// output is one chain of fused multiply-adds from +0 over (channel, down, across) ascending; padding is multiplied as 0; the
/// bias is added last. Bounded: (terms + 1)·u·Σ|terms|.
pub fn conv2d(
    ctx: &Context<'_>,
    size: Convolution,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Convolution { plane, groups, before, after } = size;
    let (terms, places) = (size.terms(), plane.places());
    let image = groups * before * plane.before();
    let rows = row_count("x of conv2d", x.len(), image)?;
    expect_len("W of conv2d", w.len(), &[groups, after, terms])?;
    expect_len("out of conv2d", out.len(), &[rows, groups, after, places])?;
    if let Some(bias) = bias {
        expect_len("b of conv2d", bias.len(), &[groups, after])?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    let micro = micro::of(ctx.isa);
    let blocks = Blocks::new(after, micro.mr);
    let packed = packed_weights(ctx.isa, w, blocks, terms);
    let lines = (TILE / (terms * plane.across.out).max(1)).clamp(1, plane.down.out);
    let tiles = plane.down.out.div_ceil(lines);
    let maps = Shared::new(out, 1);
    try_tasks(ctx, rows * groups * tiles, &|task| {
        let (map, tile) = (task / tiles, task % tiles);
        let lines = tile * lines..plane.down.out.min((tile + 1) * lines);
        let width = lines.len() * plane.across.out;
        let x = &x[map * before * plane.before()..(map + 1) * before * plane.before()];
        let group = map % groups;
        let padded = Padded::of(plane, before, lines.clone());
        let (too_large, panels) = (KernelError::TooLarge { what: "windows of conv2d" }, width.div_ceil(micro.nr));
        with_scratch(panels * terms * micro.nr + padded.floats(), |scratch| {
            let (columns, image) = scratch.split_at_mut(panels * terms * micro.nr);
            padded.copy(x, image);
            padded.lay_out(image, micro.nr, columns);
            let from = map * after * places + lines.start * plane.across.out;
            let sweep = Sweep {
                micro,
                dtype: Dtype::F32,
                zeros: None,
                k: terms,
                blocks,
                a: packed[group * after * terms..].as_ptr(),
                b: columns.as_ptr().cast(),
                panel_step: micro.nr * terms * 4,
                b_step: micro.nr * 4,
                columns: 0..width,
                bias: None,
                c: maps.start().wrapping_add(from),
                c_step: places,
                onto: false,
                cancel: ctx.cancel,
            };
            // SAFETY: the weights of the group and all panels were packed to their full size; each task has lines of its own
            // in each of the maps, whose lengths were checked.
            unsafe { sweep.group(0..blocks.count, 0..panels) };
            for (o, bias) in bias.iter().flat_map(|bias| &bias[group * after..(group + 1) * after]).enumerate() {
                let from = from + o * places;
                // SAFETY: as above.
                unsafe { maps.take(from..from + width) }.iter_mut().for_each(|out| *out += bias);
            }
            ctx.result()
        })
        .ok_or(too_large)?
    })
}

/// The weights of each group as its blocks, `[group][block][term][channel of the block]`.
fn packed_weights(isa: Isa, w: &[f32], blocks: Blocks, terms: usize) -> Vec<f32> {
    let mut out = vec![0.0; w.len()];
    let size = blocks.rows * terms;
    if size == 0 {
        return out;
    }
    for (out, w) in out.chunks_exact_mut(size).zip(w.chunks_exact(size)) {
        for block in 0..blocks.count {
            let rows = blocks.range(block);
            let part = &mut out[rows.start * terms..rows.end * terms];
            pack_block(isa, w, rows, terms, 1, terms, part);
        }
    }
    out
}

/// The part of an image that lies under the windows of some lines, with its padding: [channel, height, width].
struct Padded {
    plane: Plane,
    channels: usize,
    lines: Range<usize>,
    height: usize,
    width: usize,
}

impl Padded {
    fn of(plane: Plane, channels: usize, lines: Range<usize>) -> Padded {
        let reach = |axis: Axis, places: usize| match (places, axis.window) {
            (0, _) | (_, 0) => 0,
            _ => (places - 1) * axis.stride + (axis.window - 1) * axis.dilation + 1,
        };
        let height = reach(plane.down, lines.len());
        Padded { plane, channels, lines, height, width: reach(plane.across, plane.across.out) }
    }

    fn floats(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn copy(&self, x: &[f32], out: &mut [f32]) {
        let Plane { down, across } = self.plane;
        if self.floats() == 0 {
            return;
        }
        let shown = across.padding.min(self.width)..(across.padding + across.size).min(self.width);
        for (at, line) in out.chunks_exact_mut(self.width).take(self.channels * self.height).enumerate() {
            let (channel, row) = (at / self.height, at % self.height);
            let y = (self.lines.start * down.stride + row).checked_sub(down.padding).filter(|y| *y < down.size);
            let Some(y) = y.filter(|_| !shown.is_empty()) else {
                line.fill(0.0);
                continue;
            };
            let from = (channel * down.size + y) * across.size;
            line[..shown.start].fill(0.0);
            line[shown.clone()].copy_from_slice(&x[from..from + shown.len()]);
            line[shown.end..].fill(0.0);
        }
    }

    /// For each channel and entry of the window the value under it at each place of the lines, in panels
    /// `[panel][term][nr]` with zeros behind the last place.
    fn lay_out(&self, image: &[f32], nr: usize, out: &mut [f32]) {
        let Plane { down, across } = self.plane;
        let terms = self.channels * self.plane.taps();
        let places = self.lines.len() * across.out;
        if terms * places == 0 {
            return;
        }
        let behind = places.next_multiple_of(nr) - places;
        for term in 0..terms {
            let (channel, tap) = (term / self.plane.taps(), term % self.plane.taps());
            let (i, j) = (tap / across.window, tap % across.window);
            // Where the next value goes: the panel's row of this term, and the place in it.
            let (mut row, mut at) = (term * nr, 0);
            for line in 0..self.lines.len() {
                let y = channel * self.height + line * down.stride + i * down.dilation;
                let from = y * self.width + j * across.dilation;
                let mut done = 0;
                while done < across.out {
                    let count = (nr - at).min(across.out - done);
                    let to = &mut out[row + at..row + at + count];
                    let first = from + done * across.stride;
                    if across.stride == 1 {
                        copy_line(&image[first..first + count], to);
                    } else {
                        for (to, x) in to.iter_mut().zip(image[first..].iter().step_by(across.stride)) {
                            *to = *x;
                        }
                    }
                    (done, at) = (done + count, at + count);
                    if at == nr {
                        (row, at) = (row + terms * nr, 0);
                    }
                }
            }
            if behind > 0 {
                out[row + nr - behind..row + nr].fill(0.0);
            }
        }
    }
}
