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
        let mut smallest = Smallest::NONE;
        let divisor = Divisor::new(scale);
        if let Some(divisor) = divisor {
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            let (rows, row_rest) = row.as_chunks::<LANES>();
            for (out, row) in outs.iter_mut().zip(rows) {
                for lane in 0..LANES {
                    let centred = row[lane] - mean;
                    smallest.see(lane, centred);
                    out[lane] = divisor.divide(centred);
                }
            }
            for (lane, (out, x)) in out_rest.iter_mut().zip(row_rest).enumerate() {
                smallest.see(lane, x - mean);
                *out = divisor.divide(x - mean);
            }
        }
        if divisor.is_none() || !smallest.is_large_enough() {
            for (out, x) in out.iter_mut().zip(row) {
                *out = (x - mean) / scale;
            }
        }
        affine(out, w, b);
        scale
    }
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
