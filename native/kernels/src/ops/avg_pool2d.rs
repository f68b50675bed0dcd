use super::split::{expect_len, fill_rows, row_count};
use super::window::Plane;
use crate::error::KernelError;
use crate::gemm::Context;

/// The mean of each window of x [maps, H, W]: [maps, OH, OW]. Its entries are added from the first on and divided by their
/// number, or with `count_padding` by the window's entries inside image and padding. Exact.
pub fn avg_pool2d(
    ctx: &Context<'_>,
    plane: Plane,
    count_padding: bool,
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let maps = row_count("out of avg_pool2d", out.len(), plane.places())?;
    if maps == 0 {
        return ctx.result();
    }
    expect_len("x of avg_pool2d", x.len(), &[maps, plane.before()])?;
    fill_rows(ctx, maps, plane.places() * plane.taps(), [(out, plane.places())], &|range, [out]| {
        let x = x[range.start * plane.before()..].chunks_exact(plane.before());
        for (out, x) in out.chunks_exact_mut(plane.places()).zip(x) {
            for (place, out) in out.iter_mut().enumerate() {
                let mut sum = 0.0;
                let count = window(plane, count_padding, place, |at| sum += x[at]);
                *out = sum / count;
            }
        }
    })
}

/// Each entry of a window gets the window's cotangent over the number that divided; windows are added in the order of places.
/// Exact.
pub fn avg_pool2d_grad(
    ctx: &Context<'_>,
    plane: Plane,
    count_padding: bool,
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let maps = row_count("out of avg_pool2d_grad", out.len(), plane.before())?;
    expect_len("ct of avg_pool2d_grad", ct.len(), &[maps, plane.places()])?;
    if maps == 0 {
        return ctx.result();
    }
    fill_rows(ctx, maps, plane.places() * plane.taps(), [(out, plane.before())], &|range, [out]| {
        out.fill(0.0);
        for (map, out) in range.zip(out.chunks_exact_mut(plane.before())) {
            for (place, ct) in ct[map * plane.places()..(map + 1) * plane.places()].iter().enumerate() {
                let share = ct / window(plane, count_padding, place, |_| {});
                window(plane, count_padding, place, |at| out[at] += share);
            }
        }
    })
}

/// Calls `each` with the entries of the plane under the window at a place; gives the number that divides their sum.
fn window(Plane { down, across }: Plane, count_padding: bool, place: usize, mut each: impl FnMut(usize)) -> f32 {
    let (ys, high) = down.covered(place / across.out);
    let (xs, wide) = across.covered(place % across.out);
    let count = if count_padding { high * wide } else { ys.len() * xs.len() };
    for y in ys {
        xs.clone().for_each(|x| each(y * across.size + x));
    }
    count as f32
}
