use super::split::{expect_len, fill_rows, row_count};
use super::window::Plane;
use crate::error::KernelError;
use crate::gemm::Context;

/// The largest entry of each window of x [maps, H, W]: [maps, OH, OW]. Padding is never chosen, NaN always. Exact.
pub fn max_pool2d(ctx: &Context<'_>, plane: Plane, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let maps = row_count("out of max_pool2d", out.len(), plane.places())?;
    if maps == 0 {
        return ctx.result();
    }
    expect_len("x of max_pool2d", x.len(), &[maps, plane.before()])?;
    fill_rows(ctx, maps, plane.places() * plane.taps(), [(out, plane.places())], &|range, [out]| {
        let x = x[range.start * plane.before()..].chunks_exact(plane.before());
        for (out, x) in out.chunks_exact_mut(plane.places()).zip(x) {
            for (place, out) in out.iter_mut().enumerate() {
                *out = x[largest(plane, x, place)];
            }
        }
    })
}

/// The cotangents of [`max_pool2d`] at the entries that its windows chose, added in the order of places. Exact.
pub fn max_pool2d_grad(
    ctx: &Context<'_>,
    plane: Plane,
    x: &[f32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of max_pool2d_grad", x.len(), &[out.len()])?;
    let maps = row_count("out of max_pool2d_grad", out.len(), plane.before())?;
    expect_len("ct of max_pool2d_grad", ct.len(), &[maps, plane.places()])?;
    if maps == 0 {
        return ctx.result();
    }
    fill_rows(ctx, maps, plane.places() * plane.taps(), [(out, plane.before())], &|range, [out]| {
        out.fill(0.0);
        for (map, out) in range.zip(out.chunks_exact_mut(plane.before())) {
            let x = &x[map * plane.before()..(map + 1) * plane.before()];
            for (place, ct) in ct[map * plane.places()..(map + 1) * plane.places()].iter().enumerate() {
                out[largest(plane, x, place)] += ct;
            }
        }
    })
}

/// The first of the largest entries under the window at a place, and the first NaN before all.
fn largest(Plane { down, across }: Plane, x: &[f32], place: usize) -> usize {
    let (line, column) = (place / across.out, place % across.out);
    let mut best: Option<(usize, f32)> = None;
    for i in 0..down.window {
        let Some(y) = down.place(line, i) else { continue };
        for j in 0..across.window {
            let Some(column) = across.place(column, j) else { continue };
            let at = y * across.size + column;
            let value = x[at];
            if best.is_none_or(|(_, known)| value > known || (value.is_nan() && !known.is_nan())) {
                best = Some((at, value));
            }
        }
    }
    // A window lies outside the image only where padding exceeds half of it, which is refused before.
    best.map_or(0, |(at, _)| at)
}
