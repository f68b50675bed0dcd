use std::ops::Range;

use super::split::{Rows as Shared, expect_len, row_count, try_tasks};
use super::window::{Convolution, Plane};
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut};
use crate::over_rows::over_rows;
use crate::scratch::with_scratch;

/// Floats of the entries under the windows that a task lays side by side: half of an L2.
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
    let turned = turned(w, after, terms);
    let lines = (TILE / (terms * plane.across.out).max(1)).clamp(1, plane.down.out);
    let tiles = plane.down.out.div_ceil(lines);
    let alone = Context { threads: 1, ..*ctx };
    let maps = Shared::new(out, 1);
    try_tasks(ctx, rows * groups * tiles, &|task| {
        let (map, tile) = (task / tiles, task % tiles);
        let lines = tile * lines..plane.down.out.min((tile + 1) * lines);
        let width = lines.len() * plane.across.out;
        let x = &x[map * before * plane.before()..(map + 1) * before * plane.before()];
        let group = map % groups;
        with_scratch(terms * width, |columns| {
            lay_out(plane, x, before, lines.clone(), columns);
            let w = &turned[group * after * terms..(group + 1) * after * terms];
            let a = Rows { data: w, rows: terms, step: after };
            let b = Rows { data: columns, rows: terms, step: width };
            with_scratch(after * width, |product| {
                let c = RowsMut { data: product, rows: after, step: width };
                over_rows(&alone, [after, width], [a, b], c, false)?;
                for (o, product) in product.chunks_exact(width).enumerate() {
                    let from = (map * after + o) * places + lines.start * plane.across.out;
                    // SAFETY: each task has lines of its own in each map.
                    let out = unsafe { maps.take(from..from + width) };
                    match bias.map(|bias| bias[group * after + o]) {
                        Some(bias) => out.iter_mut().zip(product).for_each(|(out, sum)| *out = sum + bias),
                        None => out.copy_from_slice(product),
                    }
                }
                Ok(())
            })
            .ok_or(KernelError::TooLarge { what: "outputs of conv2d" })?
        })
        .ok_or(KernelError::TooLarge { what: "windows of conv2d" })?
    })
}

/// The weight of each group of channels as [terms, after].
fn turned(w: &[f32], after: usize, terms: usize) -> Vec<f32> {
    let mut out = vec![0.0; w.len()];
    if out.is_empty() {
        return out;
    }
    for (out, w) in out.chunks_exact_mut(after * terms).zip(w.chunks_exact(after * terms)) {
        for (o, row) in w.chunks_exact(terms).enumerate() {
            for (t, value) in row.iter().enumerate() {
                out[t * after + o] = *value;
            }
        }
    }
    out
}

/// For each channel and entry of the window the value under it at each place of some lines: [terms, lines · across].
fn lay_out(plane: Plane, x: &[f32], channels: usize, lines: Range<usize>, out: &mut [f32]) {
    let Plane { down, across } = plane;
    let width = lines.len() * across.out;
    if width == 0 {
        return;
    }
    let mut rows = out.chunks_exact_mut(width);
    for channel in 0..channels {
        let x = &x[channel * plane.before()..(channel + 1) * plane.before()];
        for i in 0..down.window {
            for j in 0..across.window {
                let Some(row) = rows.next() else { return };
                let inside = across.inside(j);
                for (line, out) in lines.clone().zip(row.chunks_exact_mut(across.out)) {
                    let Some(y) = down.place(line, i).filter(|_| !inside.is_empty()) else {
                        out.fill(0.0);
                        continue;
                    };
                    out[..inside.start].fill(0.0);
                    out[inside.end..].fill(0.0);
                    let first = y * across.size + inside.start * across.stride + j * across.dilation - across.padding;
                    let out = &mut out[inside.clone()];
                    if across.stride == 1 {
                        out.copy_from_slice(&x[first..first + out.len()]);
                    } else {
                        for (out, x) in out.iter_mut().zip(x[first..].iter().step_by(across.stride)) {
                            *out = *x;
                        }
                    }
                }
            }
        }
    }
}
