//! exp, log, tanh and erf as polynomials in f32: at most 2 ULP, the same bits on every instruction set and in every
//! runtime. Without branches, so that loops over them become vector code. Coefficients: minimax fits by Remez exchange in
//! 40-digit arithmetic, rounded to f32. NaN gives NaN, its payload is not defined.

/// 1.5 · 2^23: adding it rounds to a whole number, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;
const LN2_HIGH: f32 = std::f32::consts::LN_2;
/// ln 2 − LN2_HIGH.
const LN2_LOW: f32 = -1.904_654_2e-9;

/// 2^k for k in −126 ..= 127; other k give some value, never undefined behaviour.
#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits((k.wrapping_add(127) as u32) << 23)
}

/// c[0] + c[1]·x + …, fused.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum.mul_add(x, c[i]);
    }
    sum
}

/// e^x: x = n·ln 2 + r with |r| ≤ ln 2 / 2. Overflows to +∞ above 88.7228, goes to 0 through the subnormals.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparing in this direction lets NaN pass.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let q = polynomial(r, [0.499_999_94, 0.166_665_15, 0.041_668_456, 0.008_369_419, 0.001_381_314_5]);
    let mantissa = (r * r).mul_add(q, r) + 1.0;
    // In two exact halves: 2^128 is not a number, and a subnormal result must be rounded once.
    let k = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let half = k >> 1;
    mantissa * power_of_two(half) * power_of_two(k.wrapping_sub(half))
}

/// ln x: −∞ at ±0, NaN below 0. x = 2^k·(1 + f) with 1 + f in [√½, √2).
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let below = if subnormal { -23.0 } else { 0.0 };
    let exponent = (scaled.to_bits().wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32) >> 23;
    let f = f32::from_bits(scaled.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    let k = exponent as f32 + below;
    let square = f * f;
    let q = polynomial(
        f,
        [
            0.333_333_13,
            -0.250_000_1,
            0.200_021_19,
            -0.166_679_96,
            0.142_195_54,
            -0.124_055_885,
            0.118_881_546,
            -0.116_756_5,
            0.067_466_55,
        ],
    );
    let tail = (f * square).mul_add(q, square.mul_add(-0.5, k * LN2_LOW));
    let result = k.mul_add(LN2_HIGH, f + tail);
    let result = if x == f32::INFINITY { x } else { result };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x >= 0.0 { result } else { f32::NAN }
}

/// tanh x: odd polynomial near 0, 1 − 2/(e^2|x| + 1) beyond.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let near = (x * square).mul_add(
        polynomial(
            square,
            [-0.333_333_28, 0.133_331_58, -0.053_940_564, 0.021_666_348, -0.008_091_968_5, 0.002_064_665_5],
        ),
        x,
    );
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    // Odd to the sign of zero.
    (if size < 0.625 { near } else { far }).copysign(x)
}

/// erf x = 2/√π ∫₀ˣ e^(−t²) dt: odd polynomial below 1; above, 1 − e^(−g) where g fits −ln erfc; 1 from 4 on.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let size = x.abs();
    let near = x.mul_add(
        polynomial(
            x * x,
            [0.128_379_17, -0.376_126_26, 0.112_836, -0.026_854_444, 0.005_189_535_7, -0.000_802_084_2, 7.889_123e-5],
        ),
        x,
    );
    let t = (if size > 4.0 { 4.0 } else { size }) - 1.0;
    let g = polynomial(
        t,
        [
            1.849_605_6,
            2.638_967_5,
            0.843_107_1,
            0.041_563_48,
            -0.010_046_452,
            0.002_011_966_2,
            -0.000_289_527_87,
            2.168_674_7e-5,
        ],
    );
    let far = 1.0 - exp(-g);
    (if size < 1.0 { near } else { far }).copysign(x)
}
