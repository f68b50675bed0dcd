mod support;

use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{Kept, LatentActivation, bias_act_top_k, screened_top_k};
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};
use circuitscope_kernels::screen::{Bits, Screen};
use support::*;

struct Found {
    values: Vec<u32>,
    indices: Vec<i32>,
    count: Vec<i32>,
}

fn found(tokens: usize, k: usize, fill: impl FnOnce(Kept<'_>)) -> Found {
    let (mut values, mut indices, mut count) = (vec![9.0; tokens * k], vec![9; tokens * k], vec![9; tokens]);
    fill(Kept { values: &mut values, indices: &mut indices, count: &mut count });
    // A NaN is a NaN, whatever its payload.
    let bits = |x: &f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    Found { values: values.iter().map(bits).collect(), indices, count }
}

/// That both ways of looking give what the plain kernel gives, to the bit.
fn same(x: &[f32], w: &[f32], bias: Option<&[f32]>, [tokens, width, latents, k]: [usize; 4], what: &str) {
    let thresholds: Vec<f32> = (0..latents).map(|at| [0.3, -0.1, 0.0, f32::NEG_INFINITY][at % 4]).collect();
    for isa in Isa::available() {
        let packed = pack(isa, w, width, latents);
        for activation in [LatentActivation::None, LatentActivation::Relu, LatentActivation::Threshold(&thresholds)] {
            let plain = found(tokens, k, |to| {
                bias_act_top_k(&ctx(isa, 2), x, &packed, bias, activation, k, to).unwrap();
            });
            for bits in [Bits::Bf16, Bits::Int8] {
                let screen = Screen::of(&ctx(isa, 2), &packed, bits).unwrap().expect("finite weights");
                for threads in [1, 3] {
                    let got = found(tokens, k, |to| {
                        screened_top_k(&ctx(isa, threads), x, &screen, bias, activation, k, to).unwrap();
                    });
                    let about = format!("{what}: {isa:?} {bits:?} {activation:?} {threads} threads");
                    assert_eq!(got.count, plain.count, "{about}");
                    assert_eq!(got.indices, plain.indices, "{about}");
                    assert_eq!(got.values, plain.values, "{about}");
                }
            }
        }
    }
}

fn normal(random: &mut Random, len: usize) -> Vec<f32> {
    (0..len).map(|_| (0..6).map(|_| random.float()).sum()).collect()
}

#[test]
fn a_screened_projection_has_the_bits_of_the_plain_one_at_every_shape() {
    let mut random = Random(21);
    for shape in [
        [1, 1, 1, 1],
        [3, 0, 5, 2],
        [0, 4, 9, 3],
        [2, 5, 0, 3],
        [5, 7, 33, 64],
        [13, 33, 129, 7],
        [30, 96, 1000, 5],
        [2, 200, 2048, 64],
        [300, 16, 300, 3],
        [4, 31, 64, 0],
    ] {
        let [tokens, width, latents, _] = shape;
        let (x, w, bias) =
            (normal(&mut random, tokens * width), normal(&mut random, width * latents), normal(&mut random, latents));
        same(&x, &w, Some(&bias), shape, "random");
        same(&x, &w, None, shape, "without bias");
    }
}

#[test]
fn near_ties_towering_dimensions_and_numbers_of_every_size_keep_the_bits() {
    let mut random = Random(22);
    let shape @ [tokens, width, latents, _] = [9, 64, 500, 16];
    let (x, w) = (normal(&mut random, tokens * width), normal(&mut random, width * latents));

    // Columns that are equal, or differ in the last place of one entry.
    let mut tied = w.clone();
    for at in 0..width {
        for latent in 1..latents {
            tied[at * latents + latent] = tied[at * latents + latent % 7];
        }
    }
    for latent in 0..latents / 2 {
        let entry = &mut tied[latent % width * latents + latent];
        *entry = if latent % 3 == 0 { entry.next_up() } else { entry.next_down() };
    }
    same(&x, &tied, None, shape, "near ties");

    // A few dimensions that tower over the rest, with weights on them or without.
    let mut towering = x.clone();
    for row in towering.chunks_exact_mut(width) {
        for at in [3, 17, 40] {
            row[at] *= 300.0;
        }
    }
    same(&towering, &w, None, shape, "towers");
    same(&towering, &tied, None, shape, "towers and near ties");

    let sizes = |random: &mut Random, values: &[f32]| -> Vec<f32> {
        values.iter().map(|x| x * 2f32.powi(random.below(60) as i32 - 30)).collect()
    };
    same(&sizes(&mut random, &x), &sizes(&mut random, &w), None, shape, "sizes of 60 powers of two");
    let tiny: Vec<f32> = x.iter().map(|x| x * 1e-37).collect();
    same(&tiny, &w, None, shape, "subnormal tokens");
    same(&tiny, &tiny.iter().cycle().take(width * latents).copied().collect::<Vec<_>>(), None, shape, "products of 0");
    let huge: Vec<f32> = x.iter().map(|x| x * 2e37).collect();
    same(&huge, &w.iter().map(|w| w * 1e3).collect::<Vec<_>>(), None, shape, "products beyond f32");
    same(&vec![0.0; x.len()], &w, None, shape, "zeros");
    same(&x, &vec![-0.0; w.len()], Some(&vec![0.5; latents]), shape, "weights of zero, one bias");
}

#[test]
fn tokens_that_are_not_finite_are_computed_as_they_are() {
    let mut random = Random(23);
    let shape @ [tokens, width, latents, _] = [6, 20, 150, 8];
    let (mut x, w) = (normal(&mut random, tokens * width), normal(&mut random, width * latents));
    x[width] = f32::NAN;
    x[2 * width + 3] = f32::INFINITY;
    x[4 * width..5 * width].fill(f32::NEG_INFINITY);
    let bias: Vec<f32> = (0..latents).map(|at| if at == 7 { f32::NAN } else { 0.1 }).collect();
    same(&x, &w, None, shape, "tokens");
    same(&x, &w, Some(&bias), shape, "and a bias");
}

#[test]
fn weights_that_nothing_bounds_have_no_screen() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut w = vec![0.5; 12];
        w[5] = bad;
        let packed = pack(Isa::Portable, &w, 3, 4);
        for bits in [Bits::Bf16, Bits::Int8] {
            assert!(Screen::of(&ctx(Isa::Portable, 1), &packed, bits).unwrap().is_none());
        }
    }
}

#[test]
fn sixteen_bit_dictionaries_are_screened_as_their_widened_values() {
    let mut random = Random(24);
    let [tokens, width, latents, k] = [7, 40, 200, 9];
    let x = normal(&mut random, tokens * width);
    let stored: Vec<u16> = normal(&mut random, width * latents).iter().map(|w| (w.to_bits() >> 16) as u16).collect();
    let bytes: Vec<u8> = stored.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    for isa in Isa::available() {
        let source =
            MatrixSource { bytes: &bytes, dtype: Dtype::Bf16, offset: 0, k: width, n: latents, sk: latents, sn: 1 };
        let packed = PackedMatrix::pack(isa, source).unwrap();
        let plain = found(tokens, k, |to| {
            bias_act_top_k(&ctx(isa, 1), &x, &packed, None, LatentActivation::Relu, k, to).unwrap();
        });
        for bits in [Bits::Bf16, Bits::Int8] {
            let screen = Screen::of(&ctx(isa, 1), &packed, bits).unwrap().expect("finite weights");
            let got = found(tokens, k, |to| {
                screened_top_k(&ctx(isa, 1), &x, &screen, None, LatentActivation::Relu, k, to).unwrap();
            });
            assert_eq!((got.values, got.indices), (plain.values.clone(), plain.indices.clone()));
        }
    }
}
