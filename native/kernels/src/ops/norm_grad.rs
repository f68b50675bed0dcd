use super::affine::affine_rows;
use super::norm_scale::Kind;
use super::norm_scale_grad::norm_scale_grad_rows;
use super::normalize::normalize_rows;
use super::normalize_grad_scale::scale_grad_rows;
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_scratch;

/// What stays the same for every row.
#[derive(Clone, Copy, Debug)]
pub struct NormGrad<'a> {
    pub width: usize,
    pub kind: Kind,
    pub w: Option<&'a [f32]>,
}

per_isa! {
    fn add_to(out: &mut [f32], term: &[f32]) {
        for (out, term) in out.iter_mut().zip(term) {
            *out += term;
        }
    }
}

/// The cotangent of x under norm: with t = ct ∘ w, normalize_grad of t plus norm_scale_grad of normalize_grad_scale of t, with
/// the bits of the parts. Exact.
pub fn norm_grad(
    ctx: &Context<'_>,
    norm: NormGrad<'_>,
    x: &[f32],
    scale: &[f32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let NormGrad { width, kind, w } = norm;
    let rows = row_count("x of norm_grad", x.len(), width)?;
    expect_len("ct of norm_grad", ct.len(), &[x.len()])?;
    expect_len("out of norm_grad", out.len(), &[x.len()])?;
    if let Some(w) = w {
        expect_len("w of norm_grad", w.len(), &[width])?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    expect_len("scale of norm_grad", scale.len(), &[rows])?;
    fill_rows(ctx, rows, 16 * width, [(out, width)], &|rows, [out]| {
        let done = with_scratch(2 * width, |scratch| {
            let (gained, through_scale) = scratch.split_at_mut(width);
            for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
                let (x, ct) = (&x[row * width..(row + 1) * width], &ct[row * width..(row + 1) * width]);
                let scale = &scale[row..row + 1];
                affine_rows(ctx.isa, gained, ct, width, w, None);
                normalize_rows(ctx.isa, out, gained, scale, width, kind);
                let mut of_scale = [0.0];
                scale_grad_rows(ctx.isa, &mut of_scale, x, scale, gained, width, kind);
                norm_scale_grad_rows(ctx.isa, through_scale, x, scale, &of_scale, width, kind);
                add_to(ctx.isa, out, through_scale);
            }
        });
        // Two rows of scratch: the system that cannot give them could not have given the output.
        assert!(done.is_some(), "no memory for two rows of a norm");
    })
}
