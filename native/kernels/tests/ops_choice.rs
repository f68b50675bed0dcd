mod support;

use std::cmp::Ordering;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{
    Csr, Keep, Kept, LatentActivation, active_csr, active_top_k, bias_act_top_k, project_csr, top_k,
};
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
                            LatentActivation::Threshold(thresholds) => x.is_nan() || x > thresholds[i] && x != 0.0,
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

struct Sparse {
    values: Vec<f32>,
    latents: Vec<i32>,
    row_start: Vec<i32>,
}

/// Runs with room for `capacity` entries over whatever stood there before.
fn sparse(
    tokens: usize,
    capacity: usize,
    run: impl FnOnce(Csr<'_>) -> Result<(), KernelError>,
) -> Result<Sparse, KernelError> {
    let (mut values, mut latents, mut row_start) = (vec![9.0; capacity], vec![9; capacity], vec![9; tokens + 1]);
    run(Csr { values: &mut values, latents: &mut latents, row_start: &mut row_start })?;
    Ok(Sparse { values, latents, row_start })
}

/// Rows of dense latents, of which `active` and `keep` choose.
fn wanted_rows(dense: &[f32], width: usize, tokens: usize, active: impl Fn(usize, f32) -> bool, keep: Keep) -> Sparse {
    let mut all: Vec<(usize, f32)> =
        dense.iter().copied().enumerate().filter(|&(at, x)| active(at % width.max(1), x)).collect();
    if let Keep::First(wanted) = keep {
        all.sort_by(|a, b| order(*a, *b));
        all.truncate(wanted);
        all.sort_by_key(|entry| entry.0);
    }
    let row_start =
        (0..=tokens).map(|token| all.iter().filter(|entry| entry.0 < token * width).count() as i32).collect();
    Sparse {
        values: all.iter().map(|entry| entry.1).collect(),
        latents: all.iter().map(|entry| (entry.0 % width) as i32).collect(),
        row_start,
    }
}

fn check_sparse(got: &Sparse, wish: &Sparse, what: &str) {
    let count = wish.values.len();
    assert_eq!(got.row_start, wish.row_start, "{what}");
    assert_eq!(got.latents[..count], wish.latents, "{what}");
    assert!(same_bits(&got.values[..count], &wish.values), "{what}");
    assert!(got.values[count..].iter().all(|&x| x.to_bits() == 0) && got.latents[count..].iter().all(|&x| x == -1));
}

#[test]
fn sparse_rows_hold_what_is_active_in_the_bits_of_the_whole_product() {
    let mut random = Random(12);
    for (tokens, width, latents) in
        [(1, 8, 7), (5, 16, 2100), (270, 7, 1025), (0, 3, 8), (3, 4, 0), (33, 1, 64), (600, 3, 130)]
    {
        let (mut x, mut w, bias) =
            (random.floats(tokens * width), random.floats(width * latents), random.floats(latents));
        let mut thresholds: Vec<f32> = random.floats(latents);
        if tokens > 4 {
            x[width..2 * width].fill(f32::NAN);
            x[2 * width..3 * width].fill(0.0);
            x[3 * width] = f32::INFINITY;
            thresholds[1] = f32::NEG_INFINITY;
            // Two latents alike, so that there are ties in a token, and two tokens alike.
            for k in 0..width {
                w[k * latents + 2] = w[k * latents];
            }
            x.copy_within(..width, 4 * width);
        }
        let dense = naive([tokens, width, latents], &x, &w, Some(&bias));
        for activation in [LatentActivation::None, LatentActivation::Relu, LatentActivation::Threshold(&thresholds)] {
            let active = |i: usize, x: f32| match activation {
                LatentActivation::None => true,
                LatentActivation::Relu => x.is_nan() || x > 0.0,
                LatentActivation::Threshold(thresholds) => x.is_nan() || x > thresholds[i] && x != 0.0,
            };
            for keep in [Keep::All, Keep::First(0), Keep::First(1), Keep::First(4 * tokens), Keep::First(1 << 40)] {
                let wish = wanted_rows(&dense, latents, tokens, active, keep);
                let count = wish.values.len();
                for isa in Isa::available() {
                    let packed = pack(isa, &w, width, latents);
                    for threads in THREADS {
                        let run = |capacity| {
                            sparse(tokens, capacity, |to| {
                                project_csr(&ctx(isa, threads), &x, &packed, Some(&bias), activation, keep, to)
                            })
                        };
                        check_sparse(&run(count + 3).unwrap(), &wish, &format!("{isa:?} {threads} {keep:?}"));
                        check_sparse(&run(count).unwrap(), &wish, "just enough room");
                        if count > 0 {
                            let error = run(count - 1).err();
                            let capacity = count - 1;
                            let what = "sparse rows";
                            assert_eq!(error, Some(KernelError::Capacity { what, needed: count, capacity }));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn sparse_rows_of_a_token_do_not_depend_on_its_batch() {
    let (tokens, width, latents) = (300, 12, 700);
    let mut random = Random(13);
    let (x, w) = (random.floats(tokens * width), random.floats(width * latents));
    for isa in Isa::available() {
        let packed = pack(isa, &w, width, latents);
        let run = |x: &[f32]| {
            let tokens = x.len() / width;
            sparse(tokens, tokens * latents, |to| {
                project_csr(&ctx(isa, 3), x, &packed, None, LatentActivation::Relu, Keep::All, to)
            })
            .unwrap()
        };
        let together = run(&x);
        for token in [0, 1, 150, 299] {
            let alone = run(&x[token * width..(token + 1) * width]);
            let row = together.row_start[token] as usize..together.row_start[token + 1] as usize;
            assert_eq!(alone.row_start, [0, row.len() as i32]);
            assert_eq!(alone.latents[..row.len()], together.latents[row.clone()]);
            assert!(same_bits(&alone.values[..row.len()], &together.values[row]));
        }
    }
}

#[test]
fn latents_that_are_there_already_are_chosen_alike() {
    let mut random = Random(14);
    for (tokens, width) in [(1, 7), (9, 200), (300, 33), (0, 5), (4, 0)] {
        let x: Vec<f32> = tied(&mut random, tokens * width);
        let active = |_: usize, x: f32| x != 0.0;
        for isa in Isa::available() {
            for threads in THREADS {
                for keep in [Keep::All, Keep::First(3 * tokens)] {
                    let wish = wanted_rows(&x, width, tokens, active, keep);
                    let got =
                        sparse(tokens, wish.values.len() + 1, |to| active_csr(&ctx(isa, threads), &x, width, keep, to));
                    check_sparse(&got.unwrap(), &wish, &format!("{isa:?} {threads} {keep:?}"));
                }
                for k in [0, 1, 5, 64] {
                    let (mut values, mut indices, mut count) =
                        (vec![9.0; tokens * k], vec![9; tokens * k], vec![9; tokens]);
                    let to = Kept { values: &mut values, indices: &mut indices, count: &mut count };
                    active_top_k(&ctx(isa, threads), &x, width, k, to).unwrap();
                    for t in 0..tokens {
                        let (wish, wish_at, kept) = first_in_order(&x[t * width..(t + 1) * width], active, k);
                        assert_eq!((&indices[t * k..(t + 1) * k], count[t]), (&wish_at[..], kept));
                        assert!(same_bits(&values[t * k..(t + 1) * k], &wish));
                    }
                }
            }
        }
    }
}
