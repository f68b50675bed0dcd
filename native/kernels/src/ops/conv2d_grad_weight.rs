use std::ops::Range;

use super::groups::Groups;
use super::split::{expect_len, row_count};
use super::window::{Convolution, Plane};
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut};
use crate::over_rows::over_rows;
use crate::scratch::with_scratch;

/// Floats that are laid out at once, or those of one line of places.
const TILE: usize = 1 << 18;

/// The gradient of a convolution's weight for `count` groups of rows: [count, groups·after, before, kh, kw]. One chain over the
/// rows and, in a row, over the places, ascending from +0; padding is multiplied as 0. The input with fewer rows serves the
/// groups anew. Bounded: rows·places·u·Σ|terms|.
pub fn conv2d_grad_weight(
    ctx: &Context<'_>,
    size: Convolution,
    count: usize,
    x: &[f32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Convolution { plane, groups, before, after } = size;
    let (terms, places) = (size.terms(), plane.places());
    expect_len("out of conv2d_grad_weight", out.len(), &[count, groups, after, terms])?;
    if out.is_empty() {
        return ctx.result();
    }
    let image = groups * before * plane.before();
    let own = [
        row_count("x of conv2d_grad_weight", x.len(), image)?,
        if places == 0 { 0 } else { row_count("ct of conv2d_grad_weight", ct.len(), groups * after * places)? },
    ];
    if places == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    let rows = Groups::new(count, &own)?;
    let (height, width) = (plane.down.out, plane.across.out);
    let lines = (TILE / ((terms + after) * width).max(1)).max(1);
    for (at, out) in out.chunks_exact_mut(after * terms).enumerate() {
        let (row_group, group) = (at / groups, at % groups);
        let all = rows.rows * height;
        let mut from = 0;
        loop {
            let tile = from..all.min(from + lines);
            with_scratch(tile.len() * width * (terms + after), |scratch| {
                let (a, b) = scratch.split_at_mut(tile.len() * width * after);
                for (line, (a, b)) in tile
                    .clone()
                    .zip(a.chunks_exact_mut((width * after).max(1)).zip(b.chunks_exact_mut((width * terms).max(1))))
                {
                    let (row, line) = (line / height, line % height);
                    let x_map = rows.row(row_group, row, own[0]) * groups + group;
                    let ct_map = (rows.row(row_group, row, own[1]) * groups + group) * after;
                    let x = &x[x_map * before * plane.before()..(x_map + 1) * before * plane.before()];
                    lay_line(plane, x, before, line, b);
                    turn_line(
                        &ct[ct_map * places..(ct_map + after) * places],
                        places,
                        line * width..(line + 1) * width,
                        a,
                    );
                }
                let sides = [
                    Rows { data: a, rows: tile.len() * width, step: after },
                    Rows { data: b, rows: tile.len() * width, step: terms },
                ];
                over_rows(ctx, [after, terms], sides, RowsMut { data: &mut *out, rows: after, step: terms }, from > 0)
            })
            .ok_or(KernelError::TooLarge { what: "windows of conv2d_grad_weight" })??;
            from = tile.end;
            if from == all {
                break;
            }
        }
    }
    ctx.result()
}

/// What lies under the window at each place of a line: [across, terms].
fn lay_line(plane: Plane, x: &[f32], channels: usize, line: usize, out: &mut [f32]) {
    let Plane { down, across } = plane;
    let terms = channels * plane.taps();
    for channel in 0..channels {
        for i in 0..down.window {
            let y = down.place(line, i);
            for j in 0..across.window {
                let term = (channel * down.window + i) * across.window + j;
                for place in 0..across.out {
                    let value = y
                        .and_then(|y| across.place(place, j).map(|column| y * across.size + column))
                        .map_or(0.0, |at| x[channel * plane.before() + at]);
                    out[place * terms + term] = value;
                }
            }
        }
    }
}

/// Some places of each channel, [after, places], as [place, after].
fn turn_line(ct: &[f32], places: usize, line: Range<usize>, out: &mut [f32]) {
    let after = ct.len() / places;
    for (o, ct) in ct.chunks_exact(places).enumerate() {
        for (place, value) in ct[line.clone()].iter().enumerate() {
            out[place * after + o] = *value;
        }
    }
}
