use super::activation::Function;
use super::math::{erf, exp, tanh};
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use crate::error::KernelError;
use crate::gemm::Context;

/// Beyond this the smooth functions are straight to the last bit; ±∞ would make ∞·0. NaN passes.
#[inline(always)]
fn within(x: f32, limit: f32) -> f32 {
    let x = if x > limit { limit } else { x };
    if x < -limit { -limit } else { x }
}

per_isa! {
    /// ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3·0.044715x²), t the tanh of the function.
    fn gelu_tanh(out: &mut [f32], x: &[f32], ct: &[f32]) {
        const ROOT_2_OVER_PI: f32 = 0.797_884_6;
        for ((out, &x), ct) in out.iter_mut().zip(x).zip(ct) {
            let x = within(x, 20.0);
            let square = x * x;
            let t = tanh(ROOT_2_OVER_PI * (x * square).mul_add(0.044_715, x));
            let slope = ROOT_2_OVER_PI * square.mul_add(0.134_145, 1.0);
            *out = ct * (0.5 * x * ((1.0 - t) * (1.0 + t))).mul_add(slope, 0.5 * (1.0 + t));
        }
    }
}

per_isa! {
    /// Φ(x) + x·φ(x).
    fn gelu_erf(out: &mut [f32], x: &[f32], ct: &[f32]) {
        const ONE_OVER_ROOT_2_PI: f32 = 0.398_942_3;
        for ((out, &x), ct) in out.iter_mut().zip(x).zip(ct) {
            let x = within(x, 20.0);
            let area = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
            let density = ONE_OVER_ROOT_2_PI * exp(-0.5 * (x * x));
            *out = ct * x.mul_add(density, area);
        }
    }
}

per_isa! {
    /// s + s·x(1 − s), s = 1/(1 + e^(−x)); s and 1 − s each from e^(−|x|), so that neither cancels.
    fn silu(out: &mut [f32], x: &[f32], ct: &[f32]) {
        for ((out, &x), ct) in out.iter_mut().zip(x).zip(ct) {
            let x = within(x, 200.0);
            let e = exp(-x.abs());
            let (large, small) = (1.0 / (1.0 + e), e / (1.0 + e));
            let (s, rest) = if x < 0.0 { (small, large) } else { (large, small) };
            *out = ct * (s * x).mul_add(rest, s);
        }
    }
}

per_isa! {
    fn relu(out: &mut [f32], x: &[f32], ct: &[f32]) {
        for ((out, &x), &ct) in out.iter_mut().zip(x).zip(ct) {
            let flows = if x > 0.0 { ct } else { 0.0 };
            *out = if x.is_nan() { x } else { flows };
        }
    }
}

/// ct · fn′(x), entry by entry; relu′(0) = 0, and where x ≤ 0 its cotangent is not read. NaN in x gives NaN; at ±∞ the slope
/// is 1 or 0. relu is exact, the others are bounded by 16u·|ct|·(1 + |x|), and 2^-126·|ct| absolute.
pub fn activation_grad(
    ctx: &Context<'_>,
    function: Function,
    x: &[f32],
    ct: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of activation_grad", x.len(), &[out.len()])?;
    expect_len("ct of activation_grad", ct.len(), &[out.len()])?;
    fill_rows(ctx, out.len(), 24, [(out, 1)], &|rows, [out]| {
        let apply = match function {
            Function::GeluTanh => gelu_tanh,
            Function::GeluErf => gelu_erf,
            Function::Silu => silu,
            Function::Relu => relu,
        };
        apply(ctx.isa, out, &x[rows.clone()], &ct[rows]);
    })
}
