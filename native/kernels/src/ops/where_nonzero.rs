use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn slices(out: &mut [f32], gate: &[f32], x: &[f32]) {
        for ((out, gate), x) in out.iter_mut().zip(gate).zip(x) {
            *out = if *gate == 0.0 { 0.0 } else { *x };
        }
    }
}

/// x where the gate is not ±0 (a NaN is not), else 0, elementwise. Exact.
pub fn where_nonzero(ctx: &Context<'_>, gate: &[f32], x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("gate of where_nonzero", gate.len(), &[out.len()])?;
    expect_len("x of where_nonzero", x.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 1, [(out, 1)], &|rows, [out]| slices(ctx.isa, out, &gate[rows.clone()], &x[rows]))
}
