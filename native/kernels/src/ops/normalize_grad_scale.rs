use super::norm_scale::{Kind, row_mean};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::{LANES, add_lanes};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    pub(crate) fn scale_grad_rows(out: &mut [f32], x: &[f32], scale: &[f32], ct: &[f32], width: usize, kind: Kind) {
        for (((out, row), ct), scale) in
            out.iter_mut().zip(x.chunks_exact(width)).zip(ct.chunks_exact(width)).zip(scale)
        {
            let mean = row_mean(kind, row);
            let mut lanes = [0.0f32; LANES];
            let (rows, row_rest) = row.as_chunks::<LANES>();
            let (cts, ct_rest) = ct.as_chunks::<LANES>();
            for (row, ct) in rows.iter().zip(cts) {
                for lane in 0..LANES {
                    lanes[lane] = ct[lane].mul_add((row[lane] - mean) / scale, lanes[lane]);
                }
            }
            for ((lane, x), ct) in lanes.iter_mut().zip(row_rest).zip(ct_rest) {
                *lane = ct.mul_add((x - mean) / scale, *lane);
            }
            *out = -add_lanes(lanes) / scale;
        }
    }
}

/// The cotangent of the scale under normalize: −Σ ct·normalized / scale in rows of `width`, normalized as normalize gives it,
/// the sum by the fixed tree. Exact.
pub fn normalize_grad_scale(
    ctx: &Context<'_>,
    x: &[f32],
    scale: &[f32],
    ct: &[f32],
    width: usize,
    kind: Kind,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = row_count("x of normalize_grad_scale", x.len(), width)?;
    expect_len("ct of normalize_grad_scale", ct.len(), &[x.len()])?;
    if width == 0 {
        // No entries depend on the scale.
        expect_len("scale of normalize_grad_scale", scale.len(), &[out.len()])?;
        out.fill(0.0);
        return ctx.result();
    }
    expect_len("scale of normalize_grad_scale", scale.len(), &[rows])?;
    expect_len("out of normalize_grad_scale", out.len(), &[rows])?;
    fill_rows(ctx, rows, 8 * width, [(out, 1)], &|rows, [out]| {
        let part = rows.start * width..rows.end * width;
        scale_grad_rows(ctx.isa, out, &x[part.clone()], &scale[rows], &ct[part], width, kind);
    })
}
