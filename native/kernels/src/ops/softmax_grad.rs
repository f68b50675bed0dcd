use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::{LANES, add_lanes};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    /// A part of one row that begins with entry `first` of it, all before being 0: `out` holds the cotangent and becomes the
    /// result.
    pub(crate) fn softmax_grad_row(out: &mut [f32], p: &[f32], first: usize) {
        let mut lanes = [0.0f32; LANES];
        // Up to the next whole round of lanes.
        let head = ((LANES - first % LANES) % LANES).min(p.len());
        for (lane, (p, ct)) in p[..head].iter().zip(&out[..head]).enumerate() {
            let lane = &mut lanes[first % LANES + lane];
            *lane = if *p == 0.0 { *lane } else { p.mul_add(*ct, *lane) };
        }
        let (ps, p_rest) = p[head..].as_chunks::<LANES>();
        let (cts, ct_rest) = out[head..].as_chunks::<LANES>();
        for (p, ct) in ps.iter().zip(cts) {
            for lane in 0..LANES {
                let sum = p[lane].mul_add(ct[lane], lanes[lane]);
                lanes[lane] = if p[lane] == 0.0 { lanes[lane] } else { sum };
            }
        }
        for ((lane, p), ct) in lanes.iter_mut().zip(p_rest).zip(ct_rest) {
            *lane = if *p == 0.0 { *lane } else { p.mul_add(*ct, *lane) };
        }
        let dot = add_lanes(lanes);
        for (out, p) in out.iter_mut().zip(p) {
            *out = if *p == 0.0 { 0.0 } else { p * (*out - dot) };
        }
    }
}

/// p·(ct − Σ p·ct) in rows of `width`, the sum by the fixed tree, fused. Where p is exactly 0 the result is 0 and ct is not
/// read: what nobody attends to does no harm. Exact.
pub fn softmax_grad(
    ctx: &Context<'_>,
    p: &[f32],
    ct: &[f32],
    width: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("ct of softmax_grad", ct.len(), &[p.len()])?;
    expect_len("out of softmax_grad", out.len(), &[p.len()])?;
    let rows = row_count("p of softmax_grad", p.len(), width)?;
    fill_rows(ctx, rows, 3 * width, [(out, width)], &|rows, [out]| {
        let part = rows.start * width..rows.end * width;
        out.copy_from_slice(&ct[part.clone()]);
        for (out, p) in out.chunks_exact_mut(width).zip(p[part].chunks_exact(width)) {
            softmax_grad_row(ctx.isa, out, p, 0);
        }
    })
}
