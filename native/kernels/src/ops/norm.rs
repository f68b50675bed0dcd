use super::affine::{affine_in_place as affine, affine_rows};
use super::divide::{Divisor, Smallest};
use super::norm_scale::{Kind, row_mean};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::{LANES, tree_squares};
use crate::error::KernelError;
use crate::gemm::Context;

/// What stays the same for every row of a norm.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    pub width: usize,
    pub kind: Kind,
    pub eps: f32,
    pub w: Option<&'a [f32]>,
    pub b: Option<&'a [f32]>,
}

/// Where a norm writes; what nobody reads is `None` and costs nothing.
#[derive(Debug)]
pub struct NormOut<'a> {
    pub out: &'a mut [f32],
    pub scale: Option<&'a mut [f32]>,
    pub normalized: Option<&'a mut [f32]>,
}

/// What [`norm_scale`](super::norm_scale()) and [`normalize`](super::normalize()) make of a row, the mean found once.
#[inline(always)]
fn centred(row: &[f32], kind: Kind, eps: f32) -> (f32, f32) {
    let mean = row_mean(kind, row);
    (mean, (tree_squares(row, mean) / row.len() as f32 + eps).sqrt())
}

per_isa! {
    /// Writes the normalised row and gives its scale.
    fn normal_row(out: &mut [f32], row: &[f32], kind: Kind, eps: f32) -> f32 {
        let (mean, scale) = centred(row, kind, eps);
        for (out, x) in out.iter_mut().zip(row) {
            *out = (x - mean) / scale;
        }
        scale
    }
}

per_isa! {
    /// The same with the gain and shift at once.
    fn norm_row(out: &mut [f32], row: &[f32], kind: Kind, eps: f32, w: Option<&[f32]>, b: Option<&[f32]>) -> f32 {
        let (mean, scale) = centred(row, kind, eps);
        // No entry is more than √width scales from the mean, and a row with NaN or ∞ has such a scale.
        if let Some(divisor) = Divisor::new(scale) {
            let smallest = match (w, b) {
                (Some(w), Some(b)) => divided(out, row, mean, divisor, Some((w, b))),
                _ => divided(out, row, mean, divisor, None),
            };
            if smallest.is_large_enough() {
                if w.is_none() || b.is_none() {
                    affine(out, w, b);
                }
                return scale;
            }
        }
        for (out, x) in out.iter_mut().zip(row) {
            *out = (x - mean) / scale;
        }
        affine(out, w, b);
        scale
    }
}

/// out = (row − mean)/scale, with a gain and a shift where both are given. Gives the smallest dividend.
#[inline(always)]
fn divided(out: &mut [f32], row: &[f32], mean: f32, by: Divisor, gain: Option<(&[f32], &[f32])>) -> Smallest {
    let mut smallest = Smallest::NONE;
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let (rows, row_rest) = row.as_chunks::<LANES>();
    match gain {
        Some((w, b)) => {
            let ((ws, w_rest), (bs, b_rest)) = (w.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (((out, row), w), b) in outs.iter_mut().zip(rows).zip(ws).zip(bs) {
                for lane in 0..LANES {
                    let centred = row[lane] - mean;
                    smallest.see(lane, centred);
                    out[lane] = by.divide(centred).mul_add(w[lane], b[lane]);
                }
            }
            for (lane, (((out, x), w), b)) in out_rest.iter_mut().zip(row_rest).zip(w_rest).zip(b_rest).enumerate() {
                smallest.see(lane, x - mean);
                *out = by.divide(x - mean).mul_add(*w, *b);
            }
        }
        None => {
            for (out, row) in outs.iter_mut().zip(rows) {
                for lane in 0..LANES {
                    let centred = row[lane] - mean;
                    smallest.see(lane, centred);
                    out[lane] = by.divide(centred);
                }
            }
            for (lane, (out, x)) in out_rest.iter_mut().zip(row_rest).enumerate() {
                smallest.see(lane, x - mean);
                *out = by.divide(x - mean);
            }
        }
    }
    smallest
}

/// norm_scale, normalize and affine in one pass over each row, with the bits of the three. Exact.
pub fn norm(ctx: &Context<'_>, norm: Norm<'_>, x: &[f32], to: NormOut<'_>) -> Result<(), KernelError> {
    let Norm { width, kind, eps, w, b } = norm;
    expect_len("out of norm", to.out.len(), &[x.len()])?;
    let rows = row_count("x of norm", x.len(), width)?;
    for vector in [w, b].into_iter().flatten() {
        expect_len("w or b of norm", vector.len(), &[width])?;
    }
    if let Some(scale) = &to.scale {
        expect_len("scale of norm", scale.len(), &[rows])?;
    }
    if let Some(normalized) = &to.normalized {
        expect_len("normalized of norm", normalized.len(), &[x.len()])?;
    }
    let keep = [usize::from(to.scale.is_some()), if to.normalized.is_some() { width } else { 0 }];
    let scales = (to.scale.unwrap_or_default(), keep[0]);
    let normals = (to.normalized.unwrap_or_default(), keep[1]);
    fill_rows(ctx, rows, 4 * width, [(to.out, width), scales, normals], &|rows, [out, scales, normals]| {
        let rows = x[rows.start * width..rows.end * width].chunks_exact(width);
        for (at, (out, row)) in out.chunks_exact_mut(width).zip(rows).enumerate() {
            let scale = if keep[1] > 0 {
                let normal = &mut normals[at * width..(at + 1) * width];
                let scale = normal_row(ctx.isa, normal, row, kind, eps);
                affine_rows(ctx.isa, out, normal, width, w, b);
                scale
            } else {
                norm_row(ctx.isa, out, row, kind, eps, w, b)
            };
            if keep[0] > 0 {
                scales[at] = scale;
            }
        }
    })
}
