use super::affine::affine_rows;
use super::norm_scale::{Kind, scale_rows};
use super::normalize::normalize_rows;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_scratch;

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
            let mut scale = [0.0];
            scale_rows(ctx.isa, &mut scale, row, width, kind, eps);
            if keep[0] > 0 {
                scales[at] = scale[0];
            }
            if keep[1] > 0 {
                let normal = &mut normals[at * width..(at + 1) * width];
                normalize_rows(ctx.isa, normal, row, &scale, width, kind);
                affine_rows(ctx.isa, out, normal, width, w, b);
            } else {
                let done = with_scratch(width, |normal| {
                    normalize_rows(ctx.isa, normal, row, &scale, width, kind);
                    affine_rows(ctx.isa, out, normal, width, w, b);
                });
                // One row of scratch: the system that cannot give it could not have given the output.
                assert!(done.is_some(), "no memory for one row of a norm");
            }
        }
    })
}
