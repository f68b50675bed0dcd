mod support;

use circuitscope_kernels::ops::math::{erf, exp, log, tanh};
use circuitscope_kernels::ops::{ActivationFunction, activation, activation_grad};
use support::*;

/// How far `got` is from the true value, in units of the last place of the float32 nearest to it.
fn ulps(got: f32, truth: f64) -> f64 {
    let near = truth as f32;
    if near.is_infinite() || !got.is_finite() {
        return if got == near { 0.0 } else { f64::INFINITY };
    }
    let exponent = (near.abs().to_bits() >> 23).max(1) as i32;
    (f64::from(got) - truth).abs() / 2f64.powi(exponent - 127 - 23)
}

/// The worst error over every `step`-th bit pattern that is a number in the range, both signs, and the edges.
fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, range: std::ops::RangeInclusive<f32>, step: usize) -> (f64, f32) {
    let edges = [
        0.0,
        f32::from_bits(1),
        f32::MIN_POSITIVE,
        0.624_999_94,
        0.625,
        0.999_999_94,
        1.0,
        1.000_000_1,
        std::f32::consts::FRAC_1_SQRT_2,
        f32::from_bits(std::f32::consts::FRAC_1_SQRT_2.to_bits() + 1),
        std::f32::consts::SQRT_2,
        f32::from_bits(std::f32::consts::SQRT_2.to_bits() + 1),
        4.0,
        4.000_000_5,
        86.0,
        87.336_54,
        88.722_83,
        88.722_84,
        103.972_07,
        104.0,
        f32::MAX,
    ];
    let dense = (0..=f32::MAX.to_bits()).step_by(step).map(f32::from_bits);
    let mut worst = (0.0, 0.0);
    for x in edges.into_iter().chain(dense).flat_map(|x| [x, -x]).filter(|x| range.contains(x)) {
        let error = ulps(f(x), truth(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

/// 2/√π Σ 2^n x^(2n+1)/(2n+1)!! below 2, the continued fraction of erfc above: both to about 1e-15.
fn erf_f64(x: f64) -> f64 {
    let size = x.abs();
    let root = std::f64::consts::PI.sqrt();
    let value = if size < 2.0 {
        let (mut term, mut sum) = (size, size);
        let mut n = 1.0;
        while term > sum * 1e-17 {
            term *= 2.0 * size * size / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        2.0 / root * (-size * size).exp() * sum
    } else if size < 7.0 {
        let tail = (1..=60).rev().fold(size, |tail, n| size + f64::from(n) / 2.0 / tail);
        1.0 - (-size * size).exp() / root / tail
    } else {
        1.0
    };
    value.copysign(x)
}

#[test]
fn exp_log_tanh_and_erf_are_within_two_units_of_the_last_place() {
    for (name, f, truth, range, step) in [
        ("exp", exp as fn(f32) -> f32, f64::exp as fn(f64) -> f64, -110.0..=95.0, 997),
        ("log", log, f64::ln, 0.0..=f32::MAX, 997),
        ("tanh", tanh, f64::tanh, f32::MIN..=f32::MAX, 997),
        ("erf", erf, erf_f64, f32::MIN..=f32::MAX, 9973),
    ] {
        let (error, at) = worst(f, truth, range, step);
        println!("{name}: at most {error:.3} units of the last place, at {at:e}");
        assert!(error <= 2.0, "{name} is {error} units off at {at:e}");
    }
}

#[test]
fn between_its_ends_every_function_is_dense_enough_sampled() {
    // All 2^23 significands of the binades where reduction and branches change.
    for (f, truth, start) in [
        (exp as fn(f32) -> f32, f64::exp as fn(f64) -> f64, 0.5f32),
        (exp, f64::exp, -64.0),
        (log, f64::ln, 0.5),
        (log, f64::ln, 1.0),
        (tanh, f64::tanh, 0.5),
        (tanh, f64::tanh, 1.0),
    ] {
        for offset in (0..1 << 23).step_by(7) {
            let x = f32::from_bits(start.to_bits() + offset);
            let error = ulps(f(x), truth(f64::from(x)));
            assert!(error <= 2.0, "{error} at {x:e}");
        }
    }
}

#[test]
fn the_ends_are_exact() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    assert_eq!((exp(0.0), exp(-inf), exp(inf), exp(89.0), exp(-104.0)), (1.0, 0.0, inf, inf, 0.0));
    assert!(exp(-103.0) > 0.0 && exp(-88.0) < f32::MIN_POSITIVE, "subnormals are kept");
    assert_eq!((log(1.0), log(0.0), log(-0.0), log(inf)), (0.0, -inf, -inf, inf));
    assert!(log(-1.0).is_nan() && log(-f32::from_bits(1)).is_nan() && log(-inf).is_nan());
    assert_eq!((tanh(inf), tanh(-inf), erf(inf), erf(-inf)), (1.0, -1.0, 1.0, -1.0));
    for f in [tanh, erf] {
        assert_eq!((f(0.0).to_bits(), f(-0.0).to_bits()), (0, 0x8000_0000));
    }
    for f in [exp, log, tanh, erf] {
        assert!(f(nan).is_nan());
    }
}

#[test]
fn activations_are_within_their_bound_and_equal_on_every_instruction_set() {
    let mut random = Random(11);
    let mut x: Vec<f32> = (0..70_001).map(|_| random.float() * 12.0).collect();
    x.extend((0..f32::MAX.to_bits()).step_by(40_009).map(f32::from_bits).flat_map(|x| [x, -x]));
    x.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::from_bits(1), -f32::from_bits(1)]);
    let c = (2.0 / std::f64::consts::PI).sqrt();
    for (function, truth) in [
        (
            ActivationFunction::GeluTanh,
            (&|x: f64| 0.5 * x * (1.0 + (c * (x + 0.044715 * x * x * x)).tanh())) as &dyn Fn(f64) -> f64,
        ),
        (ActivationFunction::GeluErf, &|x| 0.5 * x * (1.0 + erf_f64(x / 2f64.sqrt()))),
        (ActivationFunction::Silu, &|x| x / (1.0 + (-x).exp())),
        (ActivationFunction::Relu, &|x| if x > 0.0 || x.is_nan() { x } else { 0.0 }),
    ] {
        let out = agree(|ctx| {
            let mut out = vec![f32::NAN; x.len()];
            activation(ctx, function, &x, &mut out).unwrap();
            out
        });
        for (&x, &got) in x.iter().zip(&out) {
            let wish = truth(f64::from(x));
            if wish.is_nan() || (x == f32::NEG_INFINITY && function != ActivationFunction::Relu) {
                assert!(got.is_nan(), "{function:?}({x}) = {got}");
            } else if wish.is_infinite() || function == ActivationFunction::Relu {
                assert_eq!(got.to_bits(), (wish as f32).to_bits(), "{function:?}({x})");
            } else {
                let allowed = 8.0 * 2f64.powi(-24) * f64::from(x.abs()) + 2f64.powi(-149);
                assert!((f64::from(got) - wish).abs() <= allowed, "{function:?}({x:e}) = {got:e}, truly {wish:e}");
            }
        }
    }
}

#[test]
fn slopes_of_activations_are_within_their_bound_and_equal_on_every_instruction_set() {
    let mut random = Random(12);
    let mut x: Vec<f32> = (0..70_001).map(|_| random.float() * 12.0).collect();
    x.extend((0..f32::MAX.to_bits()).step_by(40_009).map(f32::from_bits).flat_map(|x| [x, -x]));
    x.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::from_bits(1), -f32::from_bits(1)]);
    let ct = random.floats(x.len());
    let c = (2.0 / std::f64::consts::PI).sqrt();
    let tanh_slope = |x: f64| {
        let t = (c * (x + 0.044715 * x * x * x)).tanh();
        0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * 0.044715 * x * x)
    };
    let erf_slope = |x: f64| {
        0.5 * (1.0 + erf_f64(x / 2f64.sqrt())) + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    };
    let silu_slope = |x: f64| {
        let s = 1.0 / (1.0 + (-x).exp());
        s * (1.0 + x * (1.0 - s))
    };
    for (function, slope) in [
        (ActivationFunction::GeluTanh, &tanh_slope as &dyn Fn(f64) -> f64),
        (ActivationFunction::GeluErf, &erf_slope),
        (ActivationFunction::Silu, &silu_slope),
        (ActivationFunction::Relu, &|x| f64::from(u8::from(x > 0.0))),
    ] {
        let out = agree(|ctx| {
            let mut out = vec![f32::NAN; x.len()];
            activation_grad(ctx, function, &x, &ct, &mut out).unwrap();
            out
        });
        let mut worst = 0f64;
        for ((&x, &ct), &got) in x.iter().zip(&ct).zip(&out) {
            if x.is_nan() {
                assert!(got.is_nan());
                continue;
            }
            // Beyond 30 the f64 formulas overflow; the slopes are 1 and 0 there to the last bit.
            let wish = f64::from(ct) * slope(f64::from(x).clamp(-30.0, 30.0));
            if function == ActivationFunction::Relu {
                assert_eq!(got.to_bits(), if x > 0.0 { ct.to_bits() } else { 0 });
                continue;
            }
            let unit = 2f64.powi(-24) * f64::from(ct.abs());
            let beyond = if x.abs() > 30.0 { f64::from(ct.abs()) * 1e-11 } else { 0.0 };
            worst = worst.max((f64::from(got) - wish).abs() / unit);
            let allowed = 16.0 * unit * (1.0 + f64::from(x.abs())) + 2f64.powi(-126) + beyond;
            assert!((f64::from(got) - wish).abs() <= allowed, "{function:?}({x:e})·{ct:e} = {got:e}, truly {wish:e}");
        }
        println!("{function:?}: at most {worst:.2} units of ct");
    }
}
