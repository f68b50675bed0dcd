use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

/// The same operations as [`affine_rows`], on what stands in `x`.
#[inline(always)]
pub(crate) fn affine_in_place(x: &mut [f32], w: Option<&[f32]>, b: Option<&[f32]>) {
    match (w, b) {
        (Some(w), Some(b)) => {
            for ((x, w), b) in x.iter_mut().zip(w).zip(b) {
                *x = x.mul_add(*w, *b);
            }
        }
        (Some(w), None) => {
            for (x, w) in x.iter_mut().zip(w) {
                *x *= w;
            }
        }
        (None, Some(b)) => {
            for (x, b) in x.iter_mut().zip(b) {
                *x += b;
            }
        }
        (None, None) => {}
    }
}

per_isa! {
    pub(crate) fn affine_rows(out: &mut [f32], x: &[f32], width: usize, w: Option<&[f32]>, b: Option<&[f32]>) {
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            match (w, b) {
                (Some(w), Some(b)) => {
                    for (((out, x), w), b) in out.iter_mut().zip(x).zip(w).zip(b) {
                        *out = x.mul_add(*w, *b);
                    }
                }
                (Some(w), None) => {
                    for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                        *out = x * w;
                    }
                }
                (None, Some(b)) => {
                    for ((out, x), b) in out.iter_mut().zip(x).zip(b) {
                        *out = x + b;
                    }
                }
                (None, None) => out.copy_from_slice(x),
            }
        }
    }
}

/// x·w + b along rows of `width`, fused (one rounding); without w: x + b, without b: x·w, without both: x. Exact.
pub fn affine(
    ctx: &Context<'_>,
    x: &[f32],
    width: usize,
    w: Option<&[f32]>,
    b: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of affine", x.len(), &[out.len()])?;
    for vector in [w, b].into_iter().flatten() {
        expect_len("w or b of affine", vector.len(), &[width])?;
    }
    let rows = row_count("x of affine", x.len(), width)?;
    fill_rows(ctx, rows, width, [(out, width)], &|rows, [out]| {
        affine_rows(ctx.isa, out, &x[rows.start * width..rows.end * width], width, w, b);
    })
}
