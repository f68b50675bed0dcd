mod support;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;
use support::*;

const U: f64 = 1.0 / (1 << 24) as f64;

fn naive_scale(row: &[f32], kind: NormKind, eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = if kind == NormKind::Layer { tree(row.iter().map(|&x| (x, 1.0))) / n } else { 0.0 };
    let squares = tree(row.iter().map(|&x| (x - mean, x - mean)));
    (mean, (squares / n + eps).sqrt())
}

#[test]
fn sum_mul_and_subtract_are_the_plain_operations_on_every_path() {
    let mut random = Random(1);
    for len in SIZES.into_iter().chain([2047, 2048, 70_000]) {
        let [a, b, c] = [0; 3].map(|_| mixed(&mut random, len));
        let added = agree(|ctx| filled(len, |out| sum(ctx, &[&a, &b, &c], out).unwrap()));
        let wish: Vec<f32> = (0..len).map(|i| a[i] + b[i] + c[i]).collect();
        assert!(same_bits(&added, &wish));
        assert!(same_bits(&agree(|ctx| filled(len, |out| sum(ctx, &[&a], out).unwrap())), &a), "one term is copied");
        let thrice = [&a[..], &a, &a].concat();
        let shared = agree(|ctx| filled(3 * len, |out| sum(ctx, &[&b, &thrice, &c], out).unwrap()));
        let wish: Vec<f32> = (0..3 * len).map(|i| b[i % len] + a[i % len] + c[i % len]).collect();
        assert!(same_bits(&shared, &wish), "rows that a term lacks are read again");
        let product = agree(|ctx| filled(len, |out| mul(ctx, &a, &b, out).unwrap()));
        assert!(same_bits(&product, &(0..len).map(|i| a[i] * b[i]).collect::<Vec<_>>()));
        let difference = agree(|ctx| filled(len, |out| subtract(ctx, &a, &b, out).unwrap()));
        assert!(same_bits(&difference, &(0..len).map(|i| a[i] - b[i]).collect::<Vec<_>>()));
    }
}

#[test]
fn norms_are_the_fixed_tree_and_the_fused_norm_has_the_bits_of_its_parts() {
    let mut random = Random(2);
    for width in SIZES.into_iter().chain([768, 1000]) {
        for (rows, special) in [(0, false), (1, false), (37, false), (5, true)] {
            let len = rows * width;
            let x = if special { mixed(&mut random, len) } else { (0..len).map(|_| 100.0 + random.float()).collect() };
            let (w, b) = (random.floats(width), random.floats(width));
            for kind in [NormKind::Layer, NormKind::Rms] {
                let eps = 1e-5;
                let count = if width == 0 { 0 } else { rows };
                let scale = agree(|ctx| filled(count, |out| norm_scale(ctx, &x, width, kind, eps, out).unwrap()));
                let normal = agree(|ctx| filled(len, |out| normalize(ctx, &x, &scale, width, kind, out).unwrap()));
                let wish = x.chunks_exact(width.max(1)).map(|row| naive_scale(row, kind, eps));
                for (((row, normal), scale), (mean, wish)) in
                    x.chunks_exact(width.max(1)).zip(normal.chunks_exact(width.max(1))).zip(&scale).zip(wish)
                {
                    assert!(same_bits(&[*scale], &[wish]));
                    assert!(same_bits(normal, &row.iter().map(|x| (x - mean) / wish).collect::<Vec<_>>()));
                }
                for (w, b) in [(Some(&w[..]), Some(&b[..])), (Some(&w), None), (None, Some(&b)), (None, None)] {
                    let turned = agree(|ctx| filled(len, |out| affine(ctx, &normal, width, w, b, out).unwrap()));
                    let wish = normal.iter().enumerate().map(|(i, x)| match (w, b) {
                        (Some(w), Some(b)) => x.mul_add(w[i % width], b[i % width]),
                        (Some(w), None) => x * w[i % width],
                        (None, Some(b)) => x + b[i % width],
                        (None, None) => *x,
                    });
                    assert!(same_bits(&turned, &wish.collect::<Vec<_>>()));
                    let whole = Norm { width, kind, eps, w, b };
                    let alone = agree(|ctx| {
                        filled(len, |out| norm(ctx, whole, &x, NormOut { out, scale: None, normalized: None }).unwrap())
                    });
                    assert!(same_bits(&alone, &turned), "looking changes nothing");
                    let all = agree(|ctx| {
                        let [mut out, mut scale, mut normalized] = [vec![0.0; len], vec![0.0; count], vec![0.0; len]];
                        let to = NormOut { out: &mut out, scale: Some(&mut scale), normalized: Some(&mut normalized) };
                        norm(ctx, whole, &x, to).unwrap();
                        [out, scale, normalized].concat()
                    });
                    assert!(same_bits(&all, &[turned.clone(), scale.clone(), normal.clone()].concat()));
                }
            }
        }
    }
}

#[test]
fn a_layer_norm_far_from_zero_keeps_its_digits() {
    let mut random = Random(3);
    let x: Vec<f32> = (0..768).map(|_| 10_000.0 + random.float()).collect();
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 768.0;
    let var = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 768.0;
    let got = filled(1, |out| norm_scale(&ctx(Isa::Portable, 1), &x, 768, NormKind::Layer, 0.0, out).unwrap())[0];
    // The mean is off by up to one unit of its last place (2^-10 here), which enters squared.
    assert!((f64::from(got) - var.sqrt()).abs() < 1e-6 * var.sqrt(), "{got} {}", var.sqrt());
}

#[test]
fn softmax_is_bounded_and_equal_everywhere_and_nothing_reads_as_zeros() {
    let mut random = Random(4);
    for width in SIZES.into_iter().chain([1000, 9000]) {
        let rows = 5;
        let x: Vec<f32> = (0..rows * width).map(|_| random.float() * 30.0).collect();
        let p = agree(|ctx| filled(x.len(), |out| softmax(ctx, &x, width, out).unwrap()));
        for (x, p) in x.chunks_exact(width.max(1)).zip(p.chunks_exact(width.max(1))) {
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = x.iter().map(|&x| f64::from(x - max).exp()).sum();
            for (&x, &p) in x.iter().zip(p) {
                let wish = (f64::from(x) - f64::from(max)).exp() / total;
                let room = ((width.div_ceil(32) + 16) as f64) * U * wish * (1.0 + f64::from((x - max).abs()))
                    + 2f64.powi(-126);
                assert!((f64::from(p) - wish).abs() <= room, "{p} {wish}");
            }
        }
        if width >= 7 {
            let hidden = vec![f32::NEG_INFINITY; width];
            let mut poisoned = hidden.clone();
            poisoned[width / 2] = f32::NAN;
            let mut infinite = x[..width].to_vec();
            infinite[0] = f32::INFINITY;
            let all = agree(|ctx| filled(width, |out| softmax(ctx, &hidden, width, out).unwrap()));
            assert!(same_bits(&all, &vec![0.0; width]), "a masked row reads nothing");
            for row in [poisoned, infinite] {
                let all = agree(|ctx| filled(width, |out| softmax(ctx, &row, width, out).unwrap()));
                assert!(all.iter().all(|p| p.is_nan()));
            }
        }
    }
}

/// Scores, pattern and z by plain loops: the chains of the contract.
fn naive_attention(h: Heads, q: &[f32], k: &[f32], v: &[f32], m: Masking<'_>) -> [Vec<f32>; 3] {
    let Heads { rows, pos, keys, heads, kv_heads, width } = h;
    let [mut scores, mut pattern, mut z] = [vec![], vec![], vec![0.0; rows * pos * heads * width]];
    for r in 0..rows {
        for head in 0..heads {
            let kv = head * kv_heads / heads;
            for i in 0..pos {
                let row: Vec<f32> = (0..keys)
                    .map(|j| {
                        if !reads(m.reach, h, i, j) || m.keys.is_some_and(|mask| mask[r * keys + j] == 0) {
                            return f32::NEG_INFINITY;
                        }
                        let q = &q[((r * pos + i) * heads + head) * width..];
                        let k = &k[((r * keys + j) * kv_heads + kv) * width..];
                        (0..width).fold(0f32, |sum, d| q[d].mul_add(k[d], sum)) * m.scale
                    })
                    .collect();
                let p = filled(keys, |out| softmax(&ctx(Isa::Portable, 1), &row, keys, out).unwrap());
                for d in 0..width {
                    let mut sum = 0f32;
                    for (j, &p) in p.iter().enumerate().filter(|(_, p)| **p != 0.0) {
                        sum = p.mul_add(v[((r * keys + j) * kv_heads + kv) * width + d], sum);
                    }
                    z[((r * pos + i) * heads + head) * width + d] = sum;
                }
                scores.extend(row);
                pattern.extend(p);
            }
        }
    }
    [scores, pattern, z]
}

#[test]
fn attention_is_the_chains_fused_or_not_captured_or_not() {
    let mut random = Random(5);
    let shapes = [
        (1, [1, 1], 1, 1, 1),
        (2, [7, 7], 2, 1, 8),
        (1, [8, 8], 4, 2, 7),
        (3, [65, 65], 2, 2, 16),
        (1, [130, 130], 1, 1, 64),
        (2, [0, 0], 2, 1, 4),
        (0, [5, 5], 1, 1, 4),
        (1, [63, 63], 6, 3, 1),
        // One query and its past, fewer queries than keys, queries before the first key, no key at all.
        (2, [1, 40], 4, 2, 8),
        (1, [70, 133], 2, 1, 33),
        (2, [130, 66], 2, 1, 16),
        (1, [5, 0], 2, 1, 4),
        (1, [0, 5], 2, 1, 4),
    ];
    for (rows, [pos, keys], heads, kv_heads, width) in shapes {
        let sizes = Heads { rows, pos, keys, heads, kv_heads, width };
        let mut q = random.floats(rows * pos * heads * width);
        let [mut k, mut v] = [0; 2].map(|_| random.floats(rows * keys * kv_heads * width));
        let mut mask: Vec<i32> = (0..rows * keys).map(|_| (random.below(4) > 0) as i32).collect();
        if rows == 2 && keys > 0 {
            mask[..keys].fill(0);
        }
        q.iter_mut().for_each(|q| *q *= 4.0);
        // What stands at a hidden key must not matter.
        for (at, _) in mask.iter().enumerate().filter(|(_, key)| **key == 0) {
            k[at * kv_heads * width..(at + 1) * kv_heads * width].fill(f32::NAN);
            v[at * kv_heads * width..(at + 1) * kv_heads * width].fill(f32::NAN);
        }
        for reach in reaches() {
            let masking = Masking { scale: 0.37, reach, keys: Some(&mask) };
            let [wish_scores, wish_pattern, wish_z] = naive_attention(sizes, &q, &k, &v, masking);
            let square = wish_scores.len();
            let raw = agree(|ctx| filled(square, |out| scores(ctx, sizes, &q, &k, masking, out).unwrap()));
            assert!(same_bits(&raw, &wish_scores), "{sizes:?}");
            let pattern = agree(|ctx| filled(square, |out| softmax(ctx, &raw, keys, out).unwrap()));
            assert!(same_bits(&pattern, &wish_pattern));
            let mixed = agree(|ctx| filled(q.len(), |out| mix(ctx, sizes, &pattern, &v, out).unwrap()));
            assert!(same_bits(&mixed, &wish_z));
            assert!(mixed.iter().all(|z| z.is_finite()), "the NaN of a hidden key stays where it is");
            for (keep_scores, keep_pattern) in [(false, false), (true, false), (false, true), (true, true)] {
                let all = agree(|ctx| {
                    let [mut z, mut s, mut p] = [vec![9.0; q.len()], vec![9.0; square], vec![9.0; square]];
                    let to = AttentionOut {
                        z: &mut z,
                        scores: keep_scores.then_some(&mut s[..]),
                        pattern: keep_pattern.then_some(&mut p[..]),
                    };
                    attention(ctx, sizes, width, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
                    assert!(!keep_scores || same_bits(&s, &wish_scores));
                    assert!(!keep_pattern || same_bits(&p, &wish_pattern));
                    z
                });
                assert!(same_bits(&all, &wish_z), "{sizes:?} {reach:?} {keep_scores} {keep_pattern}");
            }
        }
    }
}

#[test]
fn fused_attention_has_the_bits_of_its_steps_with_caps_biases_and_alibi() {
    let mut random = Random(15);
    for (rows, pos, keys, heads, kv_heads, width) in
        [(2, 5, 5, 4, 2, 8), (1, 70, 133, 2, 1, 16), (1, 130, 130, 3, 3, 7), (2, 9, 4, 2, 2, 4), (1, 3, 0, 2, 1, 4)]
    {
        let sizes = Heads { rows, pos, keys, heads, kv_heads, width };
        let q: Vec<f32> = random.floats(rows * pos * heads * width).iter().map(|q| q * 3.0).collect();
        let [k, v] = [0; 2].map(|_| random.floats(rows * keys * kv_heads * width));
        let mask: Vec<i32> = (0..rows * keys).map(|_| (random.below(4) > 0) as i32).collect();
        let (count, buckets) = (6, (0..pos * keys).map(|_| random.below(6) as i32).collect::<Vec<_>>());
        let (mut table, slopes) = (random.floats(count * heads), random.floats(heads));
        table[0] = f32::INFINITY;
        let positions: Vec<i32> = (0..rows * keys).map(|_| random.below(30) as i32).collect();
        let square = rows * heads * pos * keys;
        for (at, reach) in reaches().enumerate() {
            let on = OnScores {
                cap: (at % 2 == 0).then_some(1.5),
                bias: (at % 3 == 0).then_some(Bias { buckets: &buckets, table: &table }),
                alibi: (at % 5 < 3).then_some(Alibi { positions: &positions, slopes: &slopes }),
            };
            let one = ctx(Isa::Portable, 1);
            let masking = Masking { scale: 0.37, reach, keys: Some(&mask) };
            let mut wish = filled(square, |out| scores(&one, sizes, &q, &k, masking, out).unwrap());
            if let Some(cap) = on.cap {
                wish = filled(square, |out| soft_cap(&one, &wish, cap, out).unwrap());
            }
            if on.bias.is_some() {
                let sizes = AddBiasSizes { rows, heads, pos, keys, buckets: count };
                wish = filled(square, |out| add_bias(&one, sizes, &wish, &buckets, &table, out).unwrap());
            }
            if on.alibi.is_some() {
                let sizes = AddAlibiSizes { rows, heads, pos, keys };
                wish = filled(square, |out| add_alibi(&one, sizes, &wish, &positions, &slopes, out).unwrap());
            }
            let wish_pattern = filled(square, |out| softmax(&one, &wish, keys, out).unwrap());
            let wish_z = filled(q.len(), |out| mix(&one, sizes, &wish_pattern, &v, out).unwrap());
            for keep in [false, true] {
                let z = agree(|ctx| {
                    let [mut z, mut s, mut p] = [vec![9.0; q.len()], vec![9.0; square], vec![9.0; square]];
                    let [scores, pattern] = [&mut s, &mut p].map(|square| keep.then_some(&mut square[..]));
                    let to = AttentionOut { z: &mut z, scores, pattern };
                    attention(ctx, sizes, width, [&q, &k, &v], masking, on, to).unwrap();
                    assert!(!keep || same_bits(&s, &wish) && same_bits(&p, &wish_pattern), "{sizes:?} {reach:?}");
                    z
                });
                assert!(same_bits(&z, &wish_z), "{sizes:?} {reach:?} {keep}");
            }
        }
        let wrong =
            OnScores { bias: Some(Bias { buckets: &vec![6; pos * keys], table: &table }), ..Default::default() };
        let masking = Masking { scale: 1.0, reach: Reach::CAUSAL, keys: None };
        let to = AttentionOut { z: &mut vec![0.0; q.len()], scores: None, pattern: None };
        let done = attention(&ctx(Isa::Portable, 1), sizes, width, [&q, &k, &v], masking, wrong, to);
        assert_eq!(done.is_err(), keys > 0);
    }
}

#[test]
fn a_masked_row_of_attention_gives_zeros() {
    let sizes = Heads { rows: 1, pos: 3, keys: 3, heads: 1, kv_heads: 1, width: 2 };
    let x = [1.0; 6];
    let masking = Masking { scale: 1.0, reach: Reach::CAUSAL, keys: Some(&[0, 0, 1]) };
    let z = agree(|ctx| {
        filled(6, |z| {
            attention(
                ctx,
                sizes,
                2,
                [&x, &x, &x],
                masking,
                OnScores::default(),
                AttentionOut { z, scores: None, pattern: None },
            )
            .unwrap()
        })
    });
    assert_eq!(z, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn rows_of_a_batch_do_not_know_of_each_other() {
    let mut random = Random(6);
    let (rows, pos, width, vocabulary) = (9, 33, 24, 130);
    let x = random.floats(rows * pos * width);
    let w = random.floats(width * vocabulary);
    let row = |r: usize| &x[r * pos * width..(r + 1) * pos * width];
    let sizes = |rows| Heads { rows, pos, keys: pos, heads: 3, kv_heads: 3, width: 8 };
    let whole = Norm { width, kind: NormKind::Layer, eps: 1e-5, w: None, b: None };
    let masking = Masking { scale: 0.5, reach: Reach::CAUSAL, keys: None };
    for isa in Isa::available() {
        let packed = pack(isa, &w, width, vocabulary);
        let all = |x: &[f32], rows: usize, threads: usize| -> [Vec<f32>; 3] {
            let ctx = ctx(isa, threads);
            let normal =
                filled(x.len(), |out| norm(&ctx, whole, x, NormOut { out, scale: None, normalized: None }).unwrap());
            let logits = filled(rows * pos * vocabulary, |out| {
                linear(&ctx, &normal, rows * pos, &packed, Linear::default(), out).unwrap()
            });
            let z = filled(x.len(), |z| {
                attention(
                    &ctx,
                    sizes(rows),
                    8,
                    [x, x, &normal],
                    masking,
                    OnScores::default(),
                    AttentionOut { z, scores: None, pattern: None },
                )
                .unwrap();
            });
            [normal, logits, z]
        };
        let together = all(&x, rows, 3);
        for r in 0..rows {
            for (alone, together) in all(row(r), 1, 1).iter().zip(&together) {
                let each = together.len() / rows;
                assert!(same_bits(alone, &together[r * each..(r + 1) * each]), "{isa:?} row {r}");
            }
        }
    }
}

#[test]
fn products_by_head_and_by_column_are_parts_of_the_whole() {
    let mut random = Random(7);
    for (tokens, heads, d, k) in [(5, 3, 7, 13), (1, 1, 1, 1), (64, 4, 16, 65), (0, 2, 3, 4), (9, 2, 63, 8)] {
        let n = heads * d;
        let (w, bias, wo) = (random.floats(k * n), random.floats(n), random.floats(n * k));
        let x = random.floats(tokens * heads * k);
        let z = random.floats(tokens * n);
        let ids: Vec<i32> = (0..4).map(|_| random.below(n) as i32).collect();
        let first = random.floats(tokens * k);
        for isa in Isa::available() {
            let (packed, packed_o) = (pack(isa, &w, k, n), pack(isa, &wo, n, k));
            let logits = naive([tokens, k, n], &first, &w, Some(&bias));
            for threads in THREADS {
                let ctx = ctx(isa, threads);
                let whole = filled(tokens * n, |out| {
                    linear(&ctx, &first, tokens, &packed, Linear { bias: Some(&bias), ..Linear::default() }, out)
                        .unwrap()
                });
                assert!(same_bits(&whole, &logits));
                let by_head =
                    filled(tokens * n, |out| head_linear(&ctx, &x, tokens, heads, &packed, Some(&bias), out).unwrap());
                for (at, got) in by_head.iter().enumerate() {
                    let (token, head, c) = (at / n, at % n / d, at % n);
                    let from = (token * heads + head) * k;
                    let chain = (0..k).fold(0f32, |sum, i| x[from + i].mul_add(w[i * n + c], sum)) + bias[c];
                    assert_eq!(got.to_bits(), chain.to_bits());
                }
                let result = filled(tokens * heads * k, |out| {
                    head_result(&ctx, &z, tokens, heads, &packed_o, None, out).unwrap()
                });
                for (at, got) in result.iter().enumerate() {
                    let (token, head, c) = (at / (heads * k), at / k % heads, at % k);
                    let chain = (0..d)
                        .fold(0f32, |sum, i| z[token * n + head * d + i].mul_add(wo[(head * d + i) * k + c], sum));
                    assert_eq!(got.to_bits(), chain.to_bits());
                }
                let last = heads - 1;
                let one =
                    filled(tokens * k, |out| head_result(&ctx, &z, tokens, heads, &packed_o, Some(last), out).unwrap());
                for token in 0..tokens {
                    let among = &result[(token * heads + last) * k..][..k];
                    assert!(
                        same_bits(&one[token * k..(token + 1) * k], among),
                        "a head alone has the bits it has among all"
                    );
                }
                let chosen = filled(tokens * 4, |out| {
                    columns(&ctx, &first, [1, tokens], &ids, &packed, Some(&bias), out).unwrap()
                });
                for (at, got) in chosen.iter().enumerate() {
                    assert_eq!(
                        got.to_bits(),
                        logits[at / 4 * n + ids[at % 4] as usize].to_bits(),
                        "as linear gives it"
                    );
                }
            }
        }
    }
}

#[test]
fn rotary_turns_pairs_and_copies_the_rest() {
    let mut random = Random(8);
    let (tokens, heads, context) = (67, 3, 11);
    for (width, dims) in [(8, 8), (65, 64), (9, 2), (4, 0), (1, 0)] {
        let x = mixed(&mut random, tokens * heads * width);
        let half = dims / 2;
        let (cos, sin) = (random.floats(context * half), random.floats(context * half));
        let positions: Vec<i32> = (0..tokens).map(|_| random.below(context) as i32).collect();
        for layout in [RotaryLayout::Half, RotaryLayout::Adjacent] {
            let rotation = Rotary { heads, width, dims, layout, inverse: false, cos: &cos, sin: &sin };
            let got = agree(|ctx| filled(x.len(), |out| rotary(ctx, rotation, &x, &positions, out).unwrap()));
            let mut wish = x.clone();
            for vector in 0..tokens * heads {
                let at = positions[vector / heads] as usize * half;
                for i in 0..half {
                    let (a, b) = if layout == RotaryLayout::Half { (i, i + half) } else { (2 * i, 2 * i + 1) };
                    let (a, b) = (vector * width + a, vector * width + b);
                    wish[a] = (-x[b]).mul_add(sin[at + i], x[a] * cos[at + i]);
                    wish[b] = x[a].mul_add(sin[at + i], x[b] * cos[at + i]);
                }
            }
            assert!(same_bits(&got, &wish), "{layout:?} {width} {dims}");
            let negative: Vec<f32> = sin.iter().map(|sin| -sin).collect();
            // Each token's own row of the table, given by itself.
            let rows = |table: &[f32]| -> Vec<f32> {
                positions.iter().flat_map(|&at| table[at as usize * half..][..half].to_vec()).collect()
            };
            let (cosines, sines) = (rows(&cos), rows(&sin));
            let given = Rotary { cos: &cosines, sin: &sines, ..rotation };
            let got = agree(|ctx| filled(x.len(), |out| rotate(ctx, given, &x, out).unwrap()));
            assert!(same_bits(&got, &wish), "waves given by token are rows of a table");
            let back = Rotary { inverse: true, ..rotation };
            let mirrored = Rotary { sin: &negative, ..rotation };
            let got = agree(|ctx| filled(x.len(), |out| rotary(ctx, back, &x, &positions, out).unwrap()));
            let wish = agree(|ctx| filled(x.len(), |out| rotary(ctx, mirrored, &x, &positions, out).unwrap()));
            assert!(same_bits(&got, &wish), "turning back is turning by the opposite angle");
            if dims > 0 {
                for outside in [-1, context as i32] {
                    let mut wrong = positions.clone();
                    wrong[3] = outside;
                    let error = rotary(&ctx(Isa::Portable, 1), rotation, &x, &wrong, &mut vec![0.0; x.len()]);
                    assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
                }
            }
        }
    }
}

#[test]
fn cross_entropy_is_bounded_and_ignores_what_it_is_told_to() {
    let mut random = Random(9);
    for vocabulary in [1, 7, 8, 63, 64, 65, 5000] {
        let rows = 19;
        let logits: Vec<f32> = (0..rows * vocabulary).map(|_| random.float() * 20.0).collect();
        let mut ids: Vec<i32> = (0..rows).map(|_| random.below(vocabulary) as i32).collect();
        ids[4] = IGNORED;
        let losses = agree(|ctx| filled(rows, |out| cross_entropy(ctx, &logits, &ids, vocabulary, out).unwrap()));
        for (r, (&loss, &id)) in losses.iter().zip(&ids).enumerate() {
            if id == IGNORED {
                assert_eq!(loss.to_bits(), 0);
                continue;
            }
            let row: Vec<f64> = logits[r * vocabulary..(r + 1) * vocabulary].iter().map(|&x| f64::from(x)).collect();
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let wish = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln() + (max - row[id as usize]);
            let room = U * ((vocabulary.div_ceil(32) + 16) as f64 + 2.0 * wish + 4.0 * (max - row[id as usize]).abs());
            assert!((f64::from(loss) - wish).abs() <= room, "{loss} {wish}");
        }
        let mut poisoned = logits.clone();
        poisoned[0] = f32::NAN;
        let poisoned = agree(|ctx| filled(rows, |out| cross_entropy(ctx, &poisoned, &ids, vocabulary, out).unwrap()));
        assert!(poisoned[0].is_nan() && same_bits(&poisoned[1..], &losses[1..]));
        for wrong in [-1, vocabulary as i32, -101] {
            let mut ids = ids.clone();
            ids[0] = wrong;
            let error = cross_entropy(&ctx(Isa::Portable, 1), &logits, &ids, vocabulary, &mut vec![0.0; rows]);
            assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
        }
    }
}

#[test]
fn repeat_gather_project_and_edge_read_are_what_they_say() {
    let mut random = Random(10);
    for width in SIZES {
        let (rows, pos, groups, copies, writers) = (6, 5, 3, 2, 3);
        let x = mixed(&mut random, rows * pos * width);
        let again = agree(|ctx| filled(3 * x.len(), |out| repeat(ctx, &x, out).unwrap()));
        assert!(same_bits(&again, &[&x[..], &x, &x].concat()));

        let index: Vec<i32> = (0..rows * groups).map(|_| random.below(pos) as i32).collect();
        let sizes = GatherRowsSizes { rows, pos, groups, width };
        let picked =
            agree(|ctx| filled(rows * groups * width, |out| gather_rows(ctx, sizes, &x, &index, out).unwrap()));
        let wish = index
            .iter()
            .enumerate()
            .flat_map(|(at, &p)| x[(at / groups * pos + p as usize) * width..][..width].to_vec());
        assert!(same_bits(&picked, &wish.collect::<Vec<_>>()));

        let fresh = mixed(&mut random, rows * groups * width);
        let sizes = ConcatPositionsSizes { rows, past: pos, pos: groups, width };
        let joined = agree(|ctx| {
            filled(rows * (pos + groups) * width, |out| concat_positions(ctx, sizes, &x, &fresh, out).unwrap())
        });
        let wish = (0..rows).flat_map(|row| {
            let part = |from: &[f32], size: usize| from[row * size..][..size].to_vec();
            [part(&x, pos * width), part(&fresh, groups * width)].concat()
        });
        assert!(same_bits(&joined, &wish.collect::<Vec<_>>()));

        let unit = random.floats(width);
        let dots = agree(|ctx| filled(rows * pos, |out| project_dot(ctx, &x, &unit, out).unwrap()));
        let wish =
            (0..rows * pos).map(|r| tree(x[r * width..(r + 1) * width].iter().copied().zip(unit.iter().copied())));
        assert!(same_bits(&dots, &wish.collect::<Vec<_>>()));

        let deltas: Vec<Vec<f32>> = (0..writers).map(|_| mixed(&mut random, x.len())).collect();
        let deltas: Vec<&[f32]> = deltas.iter().map(Vec::as_slice).collect();
        let mask: Vec<f32> = (0..rows * copies * writers).map(|_| [0.0, -0.0, 1.0, 0.5][random.below(4)]).collect();
        let sizes = EdgeReadSizes { rows, pos, width, copies };
        // x has half the rows and one writer a third: variants share what they do not change.
        let (own, few) = (x.len() / 2, x.len() / 3);
        let deltas = [deltas[0], &deltas[1][..few], deltas[2]];
        let seen =
            agree(|ctx| filled(x.len() * copies, |out| edge_read(ctx, sizes, &x[..own], &deltas, &mask, out).unwrap()));
        for (at, got) in seen.iter().enumerate() {
            let (token, copy, i) = (at / width / copies, at / width % copies, at % width);
            let mut wish = x[(token * width + i) % own];
            for (u, delta) in deltas.iter().enumerate() {
                let factor = mask[(token / pos * copies + copy) * writers + u];
                if factor != 0.0 {
                    wish = factor.mul_add(delta[(token * width + i) % delta.len()], wish);
                }
            }
            assert!(same_bits(&[*got], &[wish]));
        }
    }
}

#[test]
fn every_vector_meets_every_other_over_positions() {
    let mut random = Random(11);
    for (width, pos) in [(0, 3), (1, 2), (7, 1), (33, 4), (64, 0), (96, 3)] {
        let (rows, vectors, counts) = (4, 3, [1usize, 11]);
        let x = random.floats(rows * pos * vectors * width);
        // The second of the others has half the rows.
        let data = [random.floats(rows * pos * counts[0] * width), random.floats(rows / 2 * pos * counts[1] * width)];
        let others: Vec<PairDotsOthers<'_>> =
            data.iter().zip(counts).map(|(data, count)| PairDotsOthers { data, count }).collect();
        let sizes = PairDotsSizes { rows, pos, vectors, width };
        let all = counts.iter().sum::<usize>();
        let got = agree(|ctx| filled(rows * all * vectors, |out| pair_dots(ctx, sizes, &x, &others, out).unwrap()));
        for (at, got) in got.iter().enumerate() {
            let (row, other, v) = (at / vectors / all, at / vectors % all, at % vectors);
            let (which, w) = if other < counts[0] { (0, other) } else { (1, other - counts[0]) };
            let own = [rows, rows / 2][which];
            let sum: f64 = (0..pos)
                .map(|p| {
                    let a = &data[which][((row % own * pos + p) * counts[which] + w) * width..][..width];
                    let b = &x[((row * pos + p) * vectors + v) * width..][..width];
                    f64::from(tree(a.iter().copied().zip(b.iter().copied())))
                })
                .fold(0.0, |sum, dot| sum + dot);
            assert!(same_bits(&[*got], &[sum as f32]));
        }
    }
    let ctx = ctx(Isa::Portable, 1);
    let sizes = PairDotsSizes { rows: 2, pos: 1, vectors: 1, width: 2 };
    let mut out = [0.0; 2];
    for data in [&[0.0; 3][..], &[0.0; 6]] {
        let wrong = [PairDotsOthers { data, count: 1 }];
        assert!(pair_dots(&ctx, sizes, &[0.0; 4], &wrong, &mut out).is_err());
    }
}

#[test]
fn edits_and_directions_touch_what_their_masks_hold_and_nothing_else() {
    let mut random = Random(12);
    for dims in [[3, 2, 8], [1, 1, 65], [7, 1, 1], [2, 0, 4], [64, 3, 2]] {
        let [n1, n2, n3] = dims;
        let rows = 4;
        let inner = n1 * n2 * n3;
        let x = mixed(&mut random, rows * inner);
        let masks: Vec<Vec<i32>> =
            dims.iter().map(|n| (0..rows * n).map(|_| random.below(3) as i32).collect()).collect();
        let coefficient = random.floats(rows);
        let value_rows = random.floats(2 * inner);
        let vector = random.floats(n2 * n3);
        let units = random.floats(rows * n3);
        for pick in 0..8 {
            // One direction for all rows, or one for each.
            let unit = if pick < 4 { &units[..n3] } else { &units[..] };
            let masks: [Option<&[i32]>; 3] = std::array::from_fn(|m| (pick >> m & 1 == 1).then_some(&masks[m][..]));
            let coefficient = (pick % 3 > 0).then_some(&coefficient[..]);
            let holds = |m: usize, r: usize, at: usize| masks[m].is_none_or(|mask| mask[r * dims[m] + at] != 0);
            let c = |r: usize| coefficient.map_or(1.0, |c| c[r]);
            for value in [EditValue::Scalar(0.75), EditValue::Vector(&vector), EditValue::Rows(&value_rows)] {
                for operation in [EditOperation::Set, EditOperation::Add, EditOperation::Scale] {
                    let change = Edit { dims, operation, value, masks, coefficient };
                    let got = agree(|ctx| filled(x.len(), |out| edit(ctx, rows, change, &x, out).unwrap()));
                    let wish = x.iter().enumerate().map(|(at, &x)| {
                        let (r, a, b, i) = (at / inner, at % inner / (n2 * n3), at / n3 % n2, at % n3);
                        let y = c(r)
                            * match value {
                                EditValue::Scalar(value) => value,
                                EditValue::Vector(value) => value[b * n3 + i],
                                EditValue::Rows(value) => value[r % 2 * inner + at % inner],
                            };
                        match operation {
                            _ if !(holds(0, r, a) && holds(1, r, b) && holds(2, r, i)) => x,
                            EditOperation::Set => y,
                            EditOperation::Add => x + y,
                            EditOperation::Scale => x * y,
                        }
                    });
                    assert!(same_bits(&got, &wish.collect::<Vec<_>>()), "{dims:?} {operation:?}");
                }
            }
            for operation in [DirectionOperation::ProjectOut, DirectionOperation::Steer, DirectionOperation::Clamp] {
                let masks = [masks[0], masks[1]];
                let change = Direction { dims, operation, unit, masks, coefficient };
                let got = agree(|ctx| filled(x.len(), |out| direction(ctx, rows, change, &x, out).unwrap()));
                for (v, (x, got)) in x.chunks_exact(n3).zip(got.chunks_exact(n3)).enumerate() {
                    let (r, a, b) = (v / (n1 * n2), v / n2 % n1, v % n2);
                    let unit = if pick < 4 { unit } else { &unit[r * n3..(r + 1) * n3] };
                    let dot = tree(x.iter().copied().zip(unit.iter().copied()));
                    let amount = match operation {
                        DirectionOperation::ProjectOut => -dot,
                        DirectionOperation::Steer => c(r),
                        DirectionOperation::Clamp => c(r) - dot,
                    };
                    let moved: Vec<f32> = x.iter().zip(unit).map(|(x, u)| amount.mul_add(*u, *x)).collect();
                    assert!(same_bits(got, if holds(0, r, a) && holds(1, r, b) { &moved } else { x }));
                }
            }
        }
    }
}

#[test]
fn lengths_that_do_not_agree_are_errors_before_anything_is_written() {
    let ctx = ctx(Isa::Portable, 1);
    let x = [1.0; 12];
    let mut out = [7.0; 12];
    let sizes = Heads { rows: 1, pos: 2, keys: 2, heads: 3, kv_heads: 2, width: 2 };
    let masking = Masking { scale: 1.0, reach: Reach::default(), keys: None };
    assert!(sum(&ctx, &[&x[..5]], &mut out).is_err());
    assert!(mul(&ctx, &x, &x[..3], &mut out).is_err());
    assert!(softmax(&ctx, &x, 5, &mut out).is_err());
    assert!(norm_scale(&ctx, &x, 4, NormKind::Layer, 0.0, &mut out).is_err());
    assert!(affine(&ctx, &x, 4, Some(&x[..3]), None, &mut out).is_err());
    assert!(repeat(&ctx, &x[..5], &mut out).is_err());
    assert!(project_dot(&ctx, &x, &x[..5], &mut out).is_err());
    assert!(scores(&ctx, sizes, &x, &x[..8], masking, &mut out).is_err(), "three heads cannot share two");
    assert!(out.iter().all(|&out| out == 7.0));
}
