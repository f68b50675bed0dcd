mod support;

use std::cmp::Ordering;

use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{Kept, LatentActivation, bias_act_top_k, top_k};
use support::*;

/// The order, entry by entry: value descending, NaN first, −0 as +0, ties by index.
fn order(a: (usize, f32), b: (usize, f32)) -> Ordering {
    let value = match (a.1.is_nan(), b.1.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ => b.1.partial_cmp(&a.1).unwrap(),
    };
    value.then(a.0.cmp(&b.0))
}

fn first_in_order(row: &[f32], active: impl Fn(usize, f32) -> bool, k: usize) -> (Vec<f32>, Vec<i32>, i32) {
    let mut all: Vec<(usize, f32)> = row.iter().copied().enumerate().filter(|&(i, x)| active(i, x)).collect();
    all.sort_by(|a, b| order(*a, *b));
    all.truncate(k);
    let pad = k - all.len();
    let values = all.iter().map(|x| x.1).chain(std::iter::repeat_n(0.0, pad)).collect();
    let indices = all.iter().map(|x| x.0 as i32).chain(std::iter::repeat_n(-1, pad)).collect();
    (values, indices, all.len() as i32)
}

/// Few different values, so that ties and special numbers are common.
fn tied(random: &mut Random, len: usize) -> Vec<f32> {
    let values = [
        0.0,
        -0.0,
        1.0,
        1.0,
        -1.0,
        2.5,
        f32::from_bits(1),
        -f32::from_bits(1),
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    (0..len).map(|_| if random.below(3) == 0 { random.float() } else { values[random.below(values.len())] }).collect()
}

#[test]
fn top_k_is_the_sorted_order_with_ties_nan_and_infinities() {
    let mut random = Random(1);
    for width in SIZES.into_iter().chain([33, 1000, 5003]) {
        for k in [0, 1, 2, 7, 64, 65, 300] {
            for special in [false, true] {
                let rows = 6;
                let x = if special { tied(&mut random, rows * width) } else { random.floats(rows * width) };
                for isa in Isa::available() {
                    for threads in THREADS {
                        let (mut values, mut indices) = (vec![9.0; rows * k], vec![9; rows * k]);
                        top_k(&ctx(isa, threads), &x, width, k, &mut values, &mut indices).unwrap();
                        for r in 0..rows {
                            let (wish, wish_at, _) = first_in_order(&x[r * width..(r + 1) * width], |_, _| true, k);
                            assert_eq!(indices[r * k..(r + 1) * k], wish_at, "{width} {k}");
                            assert!(same_bits(&values[r * k..(r + 1) * k], &wish));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_projection_keeps_the_first_of_its_active_latents() {
    let mut random = Random(2);
    for (tokens, width, latents, k) in [
        (1, 8, 7, 3),
        (5, 16, 2100, 64),
        (70, 7, 1025, 5),
        (0, 3, 8, 2),
        (3, 4, 0, 2),
        (9, 5, 1024, 0),
        (33, 1, 64, 64),
    ] {
        let (mut x, w, bias) = (random.floats(tokens * width), random.floats(width * latents), random.floats(latents));
        let mut thresholds: Vec<f32> = random.floats(latents).iter().map(|t| t.abs()).collect();
        if tokens > 4 {
            // A token of NaN: every latent of it is NaN, and counts.
            x[width..2 * width].fill(f32::NAN);
            // Zero: its latents are the biases alone. A threshold that is not a number holds nothing back.
            x[2 * width..3 * width].fill(0.0);
            thresholds[1] = f32::NEG_INFINITY;
        }
        let row = naive([tokens, width, latents], &x, &w, Some(&bias));
        for isa in Isa::available() {
            let packed = pack(isa, &w, width, latents);
            for threads in THREADS {
                for activation in
                    [LatentActivation::None, LatentActivation::Relu, LatentActivation::Threshold(&thresholds)]
                {
                    let (mut values, mut indices, mut count) =
                        (vec![9.0; tokens * k], vec![9; tokens * k], vec![9; tokens]);
                    let to = Kept { values: &mut values, indices: &mut indices, count: &mut count };
                    bias_act_top_k(&ctx(isa, threads), &x, &packed, Some(&bias), activation, k, to).unwrap();
                    for t in 0..tokens {
                        let active = |i: usize, x: f32| match activation {
                            LatentActivation::None => true,
                            LatentActivation::Relu => x.is_nan() || x > 0.0,
                            LatentActivation::Threshold(thresholds) => x.is_nan() || x > thresholds[i],
                        };
                        let (wish, wish_at, kept) = first_in_order(&row[t * latents..(t + 1) * latents], active, k);
                        assert_eq!(
                            (&indices[t * k..(t + 1) * k], count[t]),
                            (&wish_at[..], kept),
                            "{activation:?} token {t}"
                        );
                        assert!(same_bits(&values[t * k..(t + 1) * k], &wish));
                    }
                }
            }
        }
    }
}
