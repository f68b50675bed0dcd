use super::math::{erf, exp, tanh};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::epilogue::OnRow;
use crate::error::KernelError;
use crate::gemm::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))), Hendrycks & Gimpel 2016.
    GeluTanh,
    /// ½x(1 + erf(x/√2)), Hendrycks & Gimpel 2016.
    GeluErf,
    /// x / (1 + e^(−x)).
    Silu,
    /// max(x, 0); −0 gives +0.
    Relu,
}

per_isa! {
    fn gelu_tanh(out: &mut [f32], x: &[f32]) {
        const ROOT_2_OVER_PI: f32 = 0.797_884_6;
        for (out, &x) in out.iter_mut().zip(x) {
            let inner = ROOT_2_OVER_PI * (x * (x * x)).mul_add(0.044_715, x);
            *out = (0.5 * x) * (1.0 + tanh(inner));
        }
    }
}

per_isa! {
    fn gelu_erf(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (0.5 * x) * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

per_isa! {
    fn silu(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x / (1.0 + exp(-x));
        }
    }
}

per_isa! {
    fn relu(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = if x > 0.0 || x.is_nan() { x } else { 0.0 };
        }
    }
}

impl Function {
    /// From a row to a row.
    pub(super) fn on_rows(self) -> OnRow {
        match self {
            Function::GeluTanh => gelu_tanh,
            Function::GeluErf => gelu_erf,
            Function::Silu => silu,
            Function::Relu => relu,
        }
    }
}

/// The function on every entry. NaN stays NaN; the smooth ones give NaN at −∞ (∞·0). relu is exact, the others are
/// bounded by 8u·|x|, and 2^-149 absolute.
pub fn activation(ctx: &Context<'_>, function: Function, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    expect_len("x of activation", x.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 16, [(out, 1)], &|rows, [out]| {
        function.on_rows()(ctx.isa, out, &x[rows]);
    })
}
