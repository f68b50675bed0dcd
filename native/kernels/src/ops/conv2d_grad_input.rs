use super::split::{Rows as Shared, expect_len, row_count, try_tasks};
use super::window::{Convolution, Plane};
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut};
use crate::over_rows::over_rows;
use crate::scratch::with_scratch;

/// Floats of the terms that a task holds, or those of one channel.
const TILE: usize = 1 << 16;

/// The cotangent of a convolution's input. For each entry of the window one chain over the channels after it, ascending from
/// +0; these are added in the order of the window's entries. What falls on padding is left out.
/// Bounded: (after + taps)·u·Σ|terms|.
pub fn conv2d_grad_input(
    ctx: &Context<'_>,
    size: Convolution,
    ct: &[f32],
    w: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Convolution { plane, groups, before, after } = size;
    let (terms, places, taps) = (size.terms(), plane.places(), plane.taps());
    let rows = row_count("out of conv2d_grad_input", out.len(), groups * before * plane.before())?;
    expect_len("W of conv2d_grad_input", w.len(), &[groups, after, terms])?;
    expect_len("ct of conv2d_grad_input", ct.len(), &[rows, groups, after, places])?;
    if out.is_empty() {
        return ctx.result();
    }
    let channels = (TILE / (taps * places).max(1)).clamp(1, before);
    let blocks = before.div_ceil(channels);
    let alone = Context { threads: 1, ..*ctx };
    let maps = Shared::new(out, plane.before());
    try_tasks(ctx, rows * groups * blocks, &|task| {
        let (map, block) = (task / blocks, task % blocks);
        let channels = block * channels..before.min((block + 1) * channels);
        let group = map % groups;
        // SAFETY: each task has channels of its own.
        let out = unsafe { maps.take(map * before + channels.start..map * before + channels.end) };
        out.fill(0.0);
        if places == 0 || taps == 0 {
            return Ok(());
        }
        let count = channels.len() * taps;
        with_scratch(count * places, |product| {
            let w = w.get(group * after * terms + channels.start * taps..).unwrap_or_default();
            let a = Rows { data: w, rows: after, step: terms };
            let b = Rows { data: &ct[map * after * places..(map + 1) * after * places], rows: after, step: places };
            over_rows(&alone, [count, places], [a, b], RowsMut { data: product, rows: count, step: places }, false)?;
            for (out, product) in out.chunks_exact_mut(plane.before()).zip(product.chunks_exact(taps * places)) {
                add_back(plane, product, out);
            }
            Ok(())
        })
        .ok_or(KernelError::TooLarge { what: "terms of conv2d_grad_input" })?
    })
}

/// Adds what each entry of the window gives at each place to the entry of the plane that lies under it.
fn add_back(plane: Plane, product: &[f32], out: &mut [f32]) {
    let Plane { down, across } = plane;
    for (tap, terms) in product.chunks_exact(plane.places()).enumerate() {
        let (i, j) = (tap / across.window, tap % across.window);
        let inside = across.inside(j);
        if inside.is_empty() {
            continue;
        }
        for line in down.inside(i) {
            let y = line * down.stride + i * down.dilation - down.padding;
            let first = y * across.size + inside.start * across.stride + j * across.dilation - across.padding;
            let terms = &terms[line * across.out + inside.start..line * across.out + inside.end];
            if across.stride == 1 {
                out[first..first + terms.len()].iter_mut().zip(terms).for_each(|(out, term)| *out += term);
            } else {
                out[first..].iter_mut().step_by(across.stride).zip(terms).for_each(|(out, term)| *out += term);
            }
        }
    }
}
