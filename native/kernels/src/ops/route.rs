use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::top_k::{Best, offer_row};
use super::tree::{LANES, add_lanes, tree_sum};
use crate::error::KernelError;
use crate::gemm::Context;

fn check_width(width: usize) -> Result<(), KernelError> {
    // Indices of experts are written as floats, where they must stay whole.
    if width < 1 << 24 { Ok(()) } else { Err(KernelError::TooLarge { what: "row of experts" }) }
}

/// The entries of each row of `width` that are chosen, divided by their sum; the others 0. What is no index of an entry chooses
/// none. The sum is the tree over the row with those others as 0. Exact.
pub fn route(
    ctx: &Context<'_>,
    p: &[f32],
    width: usize,
    (chosen, k): (&[f32], usize),
    out: &mut [f32],
) -> Result<(), KernelError> {
    check_width(width)?;
    expect_len("out of route", out.len(), &[p.len()])?;
    let rows = row_count("p of route", p.len(), width)?;
    if width == 0 {
        return ctx.result();
    }
    expect_len("indices of route", chosen.len(), &[rows, k])?;
    fill_rows(ctx, rows, 2 * width + k, [(out, width)], &|rows, [out]| {
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            out.fill(0.0);
            let open = || {
                chosen[row * k..(row + 1) * k].iter().filter_map(|&index| {
                    // Casting saturates: what is no index differs from itself cast there and back.
                    let whole = index as usize;
                    (whole < width && index == whole as f32).then_some(whole)
                })
            };
            for index in open() {
                out[index] = p[row * width + index];
            }
            let sum = tree_sum(out);
            for index in open() {
                out[index] = p[row * width + index] / sum;
            }
        }
    })
}

/// The indices of the k first entries of each row of `width`, in their order, as numbers; −1 where there are fewer. Exact.
pub fn choices(ctx: &Context<'_>, x: &[f32], width: usize, k: usize, out: &mut [f32]) -> Result<(), KernelError> {
    check_width(width)?;
    let rows = row_count("out of choices", out.len(), k)?;
    if k == 0 {
        return ctx.result();
    }
    expect_len("x of choices", x.len(), &[rows, width])?;
    fill_rows(ctx, rows, 2 * width, [(out, k)], &|rows, [out]| {
        let mut best = Best::new(k, width, f32::NEG_INFINITY);
        let (mut values, mut indices) = (vec![0.0; k], vec![0; k]);
        for (row, out) in rows.zip(out.chunks_exact_mut(k)) {
            best.clear();
            offer_row(ctx.isa, &mut best, &x[row * width..(row + 1) * width], 0);
            best.write(&mut values, &mut indices);
            for (out, index) in out.iter_mut().zip(&indices) {
                *out = *index as f32;
            }
        }
    })
}

per_isa! {
    /// Σ p and Σ gate·ct over the entries whose gate is not 0, by the tree.
    fn sums(p: &[f32], gates: &[f32], ct: &[f32]) -> [f32; 2] {
        let (mut sum, mut dot) = ([0.0f32; LANES], [0.0f32; LANES]);
        for (at, ((p, gate), ct)) in p.iter().zip(gates).zip(ct).enumerate() {
            if *gate != 0.0 {
                sum[at % LANES] += p;
                dot[at % LANES] = gate.mul_add(*ct, dot[at % LANES]);
            }
        }
        [add_lanes(sum), add_lanes(dot)]
    }
}

/// Where a gate is not 0: (ct − Σ gates·ct)/Σ p in rows of `width`, sums over those entries by the tree; elsewhere 0, and
/// neither p nor ct is read there. Exact.
pub fn route_grad(
    ctx: &Context<'_>,
    [p, gates, ct]: [&[f32]; 3],
    width: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    for (what, slice) in [("p of route_grad", p), ("gates of route_grad", gates), ("ct of route_grad", ct)] {
        expect_len(what, slice.len(), &[out.len()])?;
    }
    let rows = row_count("out of route_grad", out.len(), width)?;
    fill_rows(ctx, rows, 4 * width, [(out, width)], &|rows, [out]| {
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            let part = row * width..(row + 1) * width;
            let (gates, ct) = (&gates[part.clone()], &ct[part.clone()]);
            let [sum, mean] = sums(ctx.isa, &p[part], gates, ct);
            for ((out, gate), ct) in out.iter_mut().zip(gates).zip(ct) {
                *out = if *gate == 0.0 { 0.0 } else { (ct - mean) / sum };
            }
        }
    })
}
