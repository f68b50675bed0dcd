mod support;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;
use support::*;

const U: f64 = 1.0 / (1 << 24) as f64;

/// That each entry is within `room` of the truth.
fn near(got: &[f32], truth: &[f64], room: &[f64], what: &str) {
    assert_eq!((got.len(), got.len()), (truth.len(), room.len()), "{what}");
    for (at, ((got, truth), room)) in got.iter().zip(truth).zip(room).enumerate() {
        assert!((f64::from(*got) - truth).abs() <= *room, "{what} [{at}]: {got} is not {truth} ± {room}");
    }
}

/// Σ_t a[t, i]·b[t, j] with `a` and `b` read anew when they end: chains, and in f64 the sum and the sum of sizes.
fn naive_over_rows(rows: usize, a: &[f32], m: usize, b: &[f32], n: usize) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
    let (mut chains, mut sums, mut sizes) = (vec![0.0f32; m * n], vec![0.0f64; m * n], vec![0.0f64; m * n]);
    for t in 0..rows {
        for i in 0..m {
            for j in 0..n {
                let (a, b, at) = (a[t * m + i], b[t * n + j], i * n + j);
                chains[at] = a.mul_add(b, chains[at]);
                let term = f64::from(a) * f64::from(b);
                sums[at] += term;
                sizes[at] += term.abs();
            }
        }
    }
    (chains, sums, sizes)
}

#[test]
fn the_gradient_of_a_weight_is_one_chain_over_rows_however_it_is_cut() {
    let mut random = Random(1);
    let shapes = [
        (1, 1, 1, 1),
        (1, 0, 3, 4),
        (2, 7, 8, 65),
        (3, 65, 13, 33),
        (1, 63, 64, 32),
        // Several stretches of rows, the last one short.
        (1, 2100, 37, 70),
        (1, 1025, 300, 1),
        // More columns, or rows, of the gradient than are packed at once.
        (1, 300, 9000, 2),
        (1, 300, 2, 9000),
        (4, 5, 0, 3),
        (0, 0, 3, 3),
    ];
    for (groups, rows, k, n) in shapes {
        let (x, ct) = (random.floats(groups * rows * k), random.floats(groups * rows * n));
        let got =
            agree(|ctx| filled(groups * k * n, |out| linear_grad_weight(ctx, &x, &ct, [groups, k, n], out).unwrap()));
        for group in 0..groups {
            let (x, ct) = (&x[group * rows * k..(group + 1) * rows * k], &ct[group * rows * n..(group + 1) * rows * n]);
            let (chains, sums, sizes) = naive_over_rows(rows, x, k, ct, n);
            let got = &got[group * k * n..(group + 1) * k * n];
            assert!(same_bits(got, &chains), "[{groups}, {rows}, {k}, {n}] is not the chain");
            let room: Vec<f64> = sizes.iter().map(|size| rows as f64 * (U * size + 2f64.powi(-149))).collect();
            near(got, &sums, &room, "a weight gradient");
        }
    }
}

#[test]
fn an_input_with_fewer_rows_serves_the_groups_anew() {
    let mut random = Random(2);
    let (groups, rows, k, n) = (6, 5, 7, 11);
    let ct = random.floats(groups * rows * n);
    for shared in [1, 2, 3] {
        let x = random.floats(shared * rows * k);
        let whole = x.repeat(groups / shared);
        let few =
            agree(|ctx| filled(groups * k * n, |out| linear_grad_weight(ctx, &x, &ct, [groups, k, n], out).unwrap()));
        let all = agree(|ctx| {
            filled(groups * k * n, |out| linear_grad_weight(ctx, &whole, &ct, [groups, k, n], out).unwrap())
        });
        assert!(same_bits(&few, &all));
        // The other way round: the cotangent is the smaller one.
        let few =
            agree(|ctx| filled(groups * n * k, |out| linear_grad_weight(ctx, &ct, &x, [groups, n, k], out).unwrap()));
        let all = agree(|ctx| {
            filled(groups * n * k, |out| linear_grad_weight(ctx, &ct, &whole, [groups, n, k], out).unwrap())
        });
        assert!(same_bits(&few, &all));
    }
    // Or it serves several times within a group, and the chain goes on.
    let (groups, rows) = (2, 12);
    for own in [1, 3, 4, 6] {
        let (ct, x) = (random.floats(groups * rows * n), random.floats(own * k));
        let whole = x.repeat(groups * rows / own);
        let few =
            agree(|ctx| filled(groups * k * n, |out| linear_grad_weight(ctx, &x, &ct, [groups, k, n], out).unwrap()));
        let all = agree(|ctx| {
            filled(groups * k * n, |out| linear_grad_weight(ctx, &whole, &ct, [groups, k, n], out).unwrap())
        });
        assert!(same_bits(&few, &all));
        let (x, ct) = (&x[..own * n.min(k)], &ct[..groups * rows * n.min(k)]);
        let whole = x.repeat(groups * rows / own);
        let sum =
            |x: &[f32]| agree(|ctx| filled(groups * k, |out| column_sum(ctx, ct, Some(x), [groups, k], out).unwrap()));
        assert!(same_bits(&sum(x), &sum(&whole)));
    }
    let (groups, rows) = (6, 5);
    let ctx = ctx(Isa::Portable, 1);
    for wrong in [0, rows - 1, 4 * rows, rows + 1] {
        let x = vec![0.0; wrong * k];
        let error = linear_grad_weight(&ctx, &x, &ct, [groups, k, n], &mut vec![0.0; groups * k * n]);
        assert!(matches!(error, Err(KernelError::Shape { .. })), "{wrong}");
    }
    assert!(Groups::new(4, &[30, 30]).is_err(), "thirty rows are not four groups");
}

#[test]
fn the_gradients_of_weights_by_head_are_those_of_each_head_alone() {
    let mut random = Random(3);
    for (groups, tokens, heads, d, k) in [(1, 5, 3, 7, 13), (2, 33, 2, 16, 8), (1, 70, 4, 1, 65), (1, 0, 2, 3, 4)] {
        let n = heads * d;
        let all = groups * tokens;
        let (wide, narrow) = (random.floats(all * heads * k), random.floats(all * n));
        let part = |data: &[f32], width: usize, head: usize, group: usize| -> Vec<f32> {
            (group * tokens..(group + 1) * tokens)
                .flat_map(|t| data[(t * heads + head) * width..(t * heads + head + 1) * width].to_vec())
                .collect()
        };
        let sizes = HeadGradSizes { groups, heads, rows: k, columns: d };
        let linear = agree(|ctx| {
            filled(groups * k * n, |out| head_linear_grad_weight(ctx, sizes, &wide, &narrow, out).unwrap())
        });
        let sizes = HeadGradSizes { groups, heads, rows: d, columns: k };
        let result = agree(|ctx| {
            filled(groups * n * k, |out| head_result_grad_weight(ctx, sizes, &narrow, &wide, None, out).unwrap())
        });
        let single = random.floats(all * k);
        let last = heads - 1;
        let one = agree(|ctx| {
            filled(groups * n * k, |out| {
                head_result_grad_weight(ctx, sizes, &narrow, &single, Some(last), out).unwrap()
            })
        });
        for group in 0..groups {
            for head in 0..heads {
                let (x, z) = (part(&wide, k, head, group), part(&narrow, d, head, group));
                let wish = naive_over_rows(tokens, &x, k, &z, d).0;
                for (at, wish) in wish.iter().enumerate() {
                    let got = linear[(group * k + at / d) * n + head * d + at % d];
                    assert_eq!(got.to_bits(), wish.to_bits());
                }
                let place = (group * heads + head) * d * k..(group * heads + head + 1) * d * k;
                assert!(same_bits(&result[place.clone()], &naive_over_rows(tokens, &z, d, &x, k).0));
                let own = &single[group * tokens * k..(group + 1) * tokens * k];
                let wish = naive_over_rows(tokens, &z, d, own, k).0;
                assert!(same_bits(&one[place], &if head == last { wish } else { vec![0.0; d * k] }));
            }
        }
    }
}

#[test]
fn the_cotangent_of_a_head_is_its_block_of_the_transposed_weight() {
    let mut random = Random(4);
    for (tokens, heads, d, m) in [(5, 3, 7, 13), (64, 2, 16, 65), (0, 2, 3, 4), (9, 1, 1, 1)] {
        let n = heads * d;
        let transposed = random.floats(m * n);
        let (ct, single) = (random.floats(tokens * heads * m), random.floats(tokens * m));
        let last = heads - 1;
        for isa in Isa::available() {
            let w = pack(isa, &transposed, m, n);
            for threads in THREADS {
                let ctx = ctx(isa, threads);
                let all = filled(tokens * n, |out| head_result_grad(&ctx, &ct, tokens, heads, &w, None, out).unwrap());
                let one = filled(tokens * n, |out| {
                    head_result_grad(&ctx, &single, tokens, heads, &w, Some(last), out).unwrap()
                });
                for at in 0..tokens * n {
                    let (token, head, c) = (at / n, at % n / d, at % n);
                    let chain = |ct: &[f32]| (0..m).fold(0f32, |sum, i| ct[i].mul_add(transposed[i * n + c], sum));
                    assert_eq!(all[at].to_bits(), chain(&ct[(token * heads + head) * m..]).to_bits());
                    let wish = if head == last { chain(&single[token * m..]) } else { 0.0 };
                    assert_eq!(one[at].to_bits(), wish.to_bits());
                }
            }
        }
    }
}

#[test]
fn columns_are_summed_in_order_alone_or_with_a_factor() {
    let mut random = Random(5);
    for (groups, rows, n) in [(1, 1, 1), (2, 7, 65), (3, 64, 300), (1, 0, 5), (2, 3, 0)] {
        let ct = random.floats(groups * rows * n);
        let x = random.floats(rows * n);
        for factor in [None, Some(&x[..])] {
            let got = agree(|ctx| filled(groups * n, |out| column_sum(ctx, &ct, factor, [groups, n], out).unwrap()));
            let wish: Vec<f32> = (0..groups * n)
                .map(|at| {
                    (0..rows).fold(0f32, |sum, t| {
                        let ct = ct[(at / n * rows + t) * n + at % n];
                        factor.map_or(sum + ct, |x| ct.mul_add(x[t * n + at % n], sum))
                    })
                })
                .collect();
            assert!(same_bits(&got, &wish), "[{groups}, {rows}, {n}]");
        }
    }
}

#[test]
fn the_norm_gradient_has_the_bits_of_its_parts_and_is_the_derivative() {
    let mut random = Random(6);
    for width in SIZES.into_iter().chain([768]) {
        let rows = 37;
        let len = rows * width;
        let x: Vec<f32> = (0..len).map(|_| 1.0 + random.float()).collect();
        let (ct, w) = (random.floats(len), random.floats(width));
        let count = if width == 0 { 0 } else { rows };
        for kind in [NormKind::Layer, NormKind::Rms] {
            let scale: Vec<f32> = filled(count, |out| {
                norm_scale(&ctx(Isa::Portable, 1), &x, width, kind, 1e-5, out).unwrap();
            });
            for w in [None, Some(&w[..])] {
                let gained = agree(|ctx| filled(len, |out| affine(ctx, &ct, width, w, None, out).unwrap()));
                let a = agree(|ctx| filled(len, |out| normalize_grad(ctx, &scale, &gained, width, kind, out).unwrap()));
                let s = agree(|ctx| {
                    filled(count, |out| normalize_grad_scale(ctx, &x, &scale, &gained, width, kind, out).unwrap())
                });
                let b = agree(|ctx| filled(len, |out| norm_scale_grad(ctx, &x, &scale, &s, width, kind, out).unwrap()));
                let whole = NormGrad { width, kind, w };
                let got = agree(|ctx| filled(len, |out| norm_grad(ctx, whole, &x, &scale, &ct, out).unwrap()));
                let wish: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                assert!(same_bits(&got, &wish), "{kind:?} {width}");
                // The parts, entry by entry.
                let m = width as f32;
                for row in 0..count {
                    let part = row * width..(row + 1) * width;
                    let (x, t) = (&x[part.clone()], &gained[part.clone()]);
                    let layer = kind == NormKind::Layer;
                    let mean = |x: &[f32]| if layer { tree(x.iter().map(|&x| (x, 1.0))) / m } else { 0.0 };
                    let (x_mean, t_mean, scale) = (mean(x), mean(t), scale[row]);
                    let wish: Vec<f32> = t.iter().map(|t| (t - t_mean) / scale).collect();
                    assert!(same_bits(&a[part.clone()], &wish));
                    let dot = tree(t.iter().zip(x).map(|(t, x)| (*t, (x - x_mean) / scale)));
                    assert!(same_bits(&s[row..row + 1], &[-dot / scale]));
                    let wish: Vec<f32> = x.iter().map(|x| (x - x_mean) * (s[row] / (m * scale))).collect();
                    assert!(same_bits(&b[part.clone()], &wish));
                    // The derivative in f64: (t − mean t − y·mean(t·y)) / scale, y being normalized.
                    let [x, t]: [Vec<f64>; 2] = [x, t].map(|x| x.iter().map(|&x| f64::from(x)).collect());
                    let (m, scale) = (f64::from(m), f64::from(scale));
                    let mean = |x: &[f64]| if layer { x.iter().sum::<f64>() / m } else { 0.0 };
                    let (x_mean, t_mean) = (mean(&x), mean(&t));
                    let y: Vec<f64> = x.iter().map(|x| (x - x_mean) / scale).collect();
                    let along = t.iter().zip(&y).map(|(t, y)| t * y).sum::<f64>() / m;
                    let sizes = t.iter().zip(&y).map(|(t, y)| (t * y).abs()).sum::<f64>() / m;
                    let most = t.iter().map(|t| t.abs()).sum::<f64>() / m;
                    let steps = (width.div_ceil(32) + 16) as f64;
                    let truth: Vec<f64> = t.iter().zip(&y).map(|(t, y)| (t - t_mean - y * along) / scale).collect();
                    // The mean of x is off by steps·u·mean|x|, which moves every y.
                    let shift = steps * U * 2.0 / scale;
                    let room: Vec<f64> = t
                        .iter()
                        .zip(&y)
                        .map(|(t, y)| {
                            let near = steps * U * (t.abs() + most + y.abs() * sizes + sizes);
                            (near + shift * (sizes + most + y.abs() * most)) / scale
                        })
                        .collect();
                    near(&got[part], &truth, &room, "a norm gradient");
                }
            }
        }
    }
}

#[test]
fn the_softmax_gradient_reads_nothing_where_the_weight_is_zero() {
    let mut random = Random(7);
    for width in SIZES.into_iter().chain([1000]) {
        let rows = 9;
        let mut p = filled(rows * width, |out| {
            let x: Vec<f32> = (0..rows * width).map(|_| random.float() * 9.0).collect();
            softmax(&ctx(Isa::Portable, 1), &x, width, out).unwrap();
        });
        let mut ct = random.floats(rows * width);
        for at in 0..rows * width {
            if random.below(3) == 0 {
                (p[at], ct[at]) = ([0.0, -0.0][random.below(2)], [f32::NAN, f32::INFINITY, 3.0][random.below(3)]);
            }
        }
        let got = agree(|ctx| filled(p.len(), |out| softmax_grad(ctx, &p, &ct, width, out).unwrap()));
        for row in 0..if width == 0 { 0 } else { rows } {
            let part = row * width..(row + 1) * width;
            let (p, ct, got) = (&p[part.clone()], &ct[part.clone()], &got[part]);
            let read = |i: usize| if p[i] == 0.0 { (0.0, 0.0) } else { (p[i], ct[i]) };
            let dot = tree((0..width).map(read));
            let wish: Vec<f32> = (0..width).map(|i| if p[i] == 0.0 { 0.0 } else { p[i] * (ct[i] - dot) }).collect();
            assert!(same_bits(got, &wish), "{width}");
            let terms: Vec<[f64; 2]> = (0..width).map(read).map(|(p, ct)| [f64::from(p), f64::from(ct)]).collect();
            let dot: f64 = terms.iter().map(|[p, ct]| p * ct).sum();
            let size: f64 = terms.iter().map(|[p, ct]| (p * ct).abs()).sum();
            let truth: Vec<f64> = terms.iter().map(|[p, ct]| p * (ct - dot)).collect();
            let steps = (width.div_ceil(32) + 8) as f64;
            let room: Vec<f64> =
                terms.iter().map(|[p, ct]| p * steps * U * (ct.abs() + 2.0 * size) + 2f64.powi(-140)).collect();
            near(got, &truth, &room, "a softmax gradient");
        }
    }
}

fn naive_mix_transposed(h: Heads, pattern: &[f32], x: &[f32]) -> Vec<f32> {
    let Heads { rows, pos, keys, heads, kv_heads, width } = h;
    let mut out = vec![0f32; rows * keys * kv_heads * width];
    for r in 0..rows {
        for head in 0..heads {
            for i in 0..pos {
                for j in 0..keys {
                    let p = pattern[((r * heads + head) * pos + i) * keys + j];
                    for d in (0..width).filter(|_| p != 0.0) {
                        let to = &mut out[((r * keys + j) * kv_heads + head * kv_heads / heads) * width + d];
                        *to = p.mul_add(x[((r * pos + i) * heads + head) * width + d], *to);
                    }
                }
            }
        }
    }
    out
}

#[test]
fn the_attention_gradient_has_the_bits_of_its_steps_whatever_is_asked_for() {
    let mut random = Random(8);
    let shapes = [
        (1, [1, 1], [1, 1], [1, 1]),
        (2, [7, 7], [2, 1], [8, 5]),
        (1, [8, 8], [4, 2], [7, 7]),
        (2, [65, 65], [2, 2], [16, 16]),
        (1, [130, 130], [2, 1], [64, 33]),
        (1, [200, 200], [1, 1], [32, 64]),
        (1, [3, 150], [4, 2], [8, 8]),
        (1, [150, 70], [2, 1], [16, 8]),
        (2, [0, 3], [2, 1], [4, 4]),
        (1, [3, 0], [2, 1], [4, 4]),
        (0, [5, 5], [1, 1], [4, 4]),
        (1, [5, 5], [2, 2], [4, 0]),
        (1, [5, 5], [2, 2], [0, 4]),
    ];
    for (rows, [pos, keys], [heads, kv_heads], [width, value_width]) in shapes {
        let sizes = Heads { rows, pos, keys, heads, kv_heads, width };
        let values = Heads { width: value_width, ..sizes };
        let (q, ct) = (random.floats(rows * pos * heads * width), random.floats(rows * pos * heads * value_width));
        let (mut k, mut v) =
            (random.floats(rows * keys * kv_heads * width), random.floats(rows * keys * kv_heads * value_width));
        let mask: Vec<i32> = (0..rows * keys).map(|_| (random.below(5) > 0) as i32).collect();
        // What stands at a hidden key must not matter.
        for (at, _) in mask.iter().enumerate().filter(|(_, key)| **key == 0) {
            k[at * kv_heads * width..(at + 1) * kv_heads * width].fill(f32::NAN);
            v[at * kv_heads * value_width..(at + 1) * kv_heads * value_width].fill(f32::NAN);
        }
        let square = rows * heads * pos * keys;
        for (reach, cap) in reaches().zip([None, Some(0.4)].into_iter().cycle()) {
            let scale = 0.37;
            let one = ctx(Isa::Portable, 1);
            let masking = Masking { scale, reach, keys: Some(&mask) };
            let raw = filled(square, |out| scores(&one, sizes, &q, &k, masking, out).unwrap());
            let capped = cap.map_or(raw.clone(), |cap| filled(square, |out| soft_cap(&one, &raw, cap, out).unwrap()));
            let pattern = filled(square, |out| softmax(&one, &capped, keys, out).unwrap());
            // The steps, one after the other.
            let plain = Masking { scale: 1.0, reach: Reach::default(), keys: None };
            let dp = agree(|ctx| filled(square, |out| scores(ctx, values, &ct, &v, plain, out).unwrap()));
            let on_scores = agree(|ctx| filled(square, |out| softmax_grad(ctx, &pattern, &dp, keys, out).unwrap()));
            let ds = match cap {
                None => on_scores.clone(),
                Some(cap) => filled(square, |out| soft_cap_grad(&one, &capped, &on_scores, cap, out).unwrap()),
            };
            let scaled = |x: Vec<f32>| agree(|ctx| filled(x.len(), |out| super_scale(ctx, &x, scale, out)));
            let dq = scaled(agree(|ctx| filled(q.len(), |out| mix(ctx, sizes, &ds, &k, out).unwrap())));
            let raw = agree(|ctx| filled(k.len(), |out| mix_transposed(ctx, sizes, &ds, &q, out).unwrap()));
            assert!(same_bits(&raw, &naive_mix_transposed(sizes, &ds, &q)), "{sizes:?}");
            let dk = scaled(raw);
            let dv = agree(|ctx| filled(v.len(), |out| mix_transposed(ctx, values, &pattern, &ct, out).unwrap()));
            assert!([&dq, &dk, &dv].into_iter().flatten().all(|x| x.is_finite()), "a hidden key does no harm");
            // Whatever lies out of reach.
            let mut dirty = pattern.clone();
            for (at, p) in dirty.iter_mut().enumerate() {
                if !reads(reach, sizes, at / keys % pos, at % keys) {
                    *p = [0.5, f32::NAN, -0.0][at % 3];
                }
            }
            let from = AttentionGradIn { q: &q, k: &k, v: &v, pattern: &dirty, ct: &ct };
            for wanted in 0..16 {
                let all = agree(|ctx| {
                    let [mut a, mut b, mut c, mut d] = [q.len(), k.len(), v.len(), square].map(|len| vec![9.0; len]);
                    let to = AttentionGradOut {
                        dq: (wanted & 1 > 0).then_some(&mut a[..]),
                        dk: (wanted & 2 > 0).then_some(&mut b[..]),
                        dv: (wanted & 4 > 0).then_some(&mut c[..]),
                        ds: (wanted & 8 > 0).then_some(&mut d[..]),
                    };
                    attention_grad(ctx, sizes, value_width, from, Scoring { scale, reach, cap }, to).unwrap();
                    [a, b, c, d].concat()
                });
                let part = |wanted: bool, x: &[f32]| if wanted { x.to_vec() } else { vec![9.0; x.len()] };
                let wish = [
                    part(wanted & 1 > 0, &dq),
                    part(wanted & 2 > 0, &dk),
                    part(wanted & 4 > 0, &dv),
                    part(wanted & 8 > 0, &on_scores),
                ]
                .concat();
                assert!(same_bits(&all, &wish), "{sizes:?} {reach:?} {wanted}");
            }
        }
    }
}

fn super_scale(ctx: &circuitscope_kernels::gemm::Context<'_>, x: &[f32], factor: f32, out: &mut [f32]) {
    scale(ctx, x, factor, out).unwrap();
}

#[test]
fn the_attention_gradient_is_the_derivative() {
    let mut random = Random(9);
    let (pos, width) = (19, 6);
    let sizes = Heads { rows: 1, pos, keys: pos, heads: 2, kv_heads: 1, width };
    let (q, ct) = (random.floats(pos * 2 * width), random.floats(pos * 2 * width));
    let (k, v) = (random.floats(pos * width), random.floats(pos * width));
    let scale = 0.4;
    let one = ctx(Isa::Portable, 1);
    let mut pattern = vec![0.0; 2 * pos * pos];
    let to = AttentionOut { z: &mut vec![0.0; q.len()], scores: None, pattern: Some(&mut pattern) };
    let masking = Masking { scale, reach: Reach::CAUSAL, keys: None };
    attention(&one, sizes, width, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
    let [mut dq, mut dk, mut dv] = [q.len(), k.len(), v.len()].map(|len| vec![0.0; len]);
    let to = AttentionGradOut { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv), ds: None };
    let from = AttentionGradIn { q: &q, k: &k, v: &v, pattern: &pattern, ct: &ct };
    attention_grad(&one, sizes, width, from, Scoring { scale, reach: Reach::CAUSAL, cap: None }, to).unwrap();
    // Σ ct·z in f64, and its central differences.
    let loss = |q: &[f64], k: &[f64], v: &[f64]| -> f64 {
        let mut total = 0.0;
        for i in 0..pos {
            for head in 0..2 {
                let own = &q[(i * 2 + head) * width..][..width];
                let weights: Vec<f64> = (0..=i)
                    .map(|j| (0..width).map(|d| own[d] * k[j * width + d]).sum::<f64>() * f64::from(scale))
                    .map(f64::exp)
                    .collect();
                let sum: f64 = weights.iter().sum();
                for d in 0..width {
                    let z: f64 = weights.iter().enumerate().map(|(j, w)| w / sum * v[j * width + d]).sum();
                    total += z * f64::from(ct[(i * 2 + head) * width + d]);
                }
            }
        }
        total
    };
    let wide = [&q, &k, &v].map(|x| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    for (which, got) in [&dq, &dk, &dv].into_iter().enumerate() {
        for (at, got) in got.iter().enumerate() {
            let moved = |by: f64| {
                let mut at_point = wide.clone();
                at_point[which][at] += by;
                loss(&at_point[0], &at_point[1], &at_point[2])
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((f64::from(*got) - slope).abs() < 2e-6, "{which} {at}: {got} {slope}");
        }
    }
}

#[test]
fn what_was_gathered_is_scattered_back_in_order() {
    let mut random = Random(10);
    for width in SIZES {
        let (rows, pos, groups) = (5, 4, 9);
        let ct = random.floats(rows * groups * width);
        let index: Vec<i32> = (0..rows * groups).map(|_| random.below(pos) as i32).collect();
        let sizes = GatherRowsSizes { rows, pos, groups, width };
        let got = agree(|ctx| filled(rows * pos * width, |out| scatter_rows(ctx, sizes, &ct, &index, out).unwrap()));
        let mut wish = vec![0f32; rows * pos * width];
        for (at, ct) in ct.iter().enumerate() {
            let pick = at / width;
            wish[(pick / groups * pos + index[pick] as usize) * width + at % width] += ct;
        }
        assert!(same_bits(&got, &wish));
        let mut wrong = index.clone();
        wrong[3] = pos as i32;
        let error = scatter_rows(&ctx(Isa::Portable, 1), sizes, &ct, &wrong, &mut vec![0.0; rows * pos * width]);
        assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
    }
}

#[test]
fn the_gradient_of_a_table_adds_rows_in_order() {
    let mut random = Random(11);
    for (groups, tokens, vocabulary, width) in
        [(1, 1, 1, 1), (2, 70, 9, 65), (3, 40, 700, 130), (1, 0, 5, 3), (1, 7, 5, 0)]
    {
        let ids: Vec<i32> = (0..tokens).map(|_| random.below(vocabulary) as i32).collect();
        let ct = random.floats(groups * tokens * width);
        let mut wish = vec![0f32; groups * vocabulary * width];
        for (at, ct) in ct.iter().enumerate() {
            let token = at / width;
            wish[(token / tokens * vocabulary + ids[token % tokens] as usize) * width + at % width] += ct;
        }
        for transposed in [false, true] {
            let sizes = EmbedGradSizes { groups, vocabulary, width, transposed };
            let got = agree(|ctx| filled(wish.len(), |out| embed_grad(ctx, sizes, &ids, &ct, out).unwrap()));
            let turned: Vec<f32> = (0..wish.len())
                .map(|at| {
                    let (group, rest) = (at / (vocabulary * width), at % (vocabulary * width));
                    wish[(group * vocabulary + rest % vocabulary) * width + rest / vocabulary]
                })
                .collect();
            assert!(same_bits(&got, if transposed { &turned } else { &wish }));
        }
        if tokens > 0 && width > 0 {
            let mut wrong = ids.clone();
            wrong[0] = -1;
            let sizes = EmbedGradSizes { groups, vocabulary, width, transposed: false };
            let error = embed_grad(&ctx(Isa::Portable, 1), sizes, &wrong, &ct, &mut wish);
            assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
        }
    }
}

#[test]
fn the_gradients_of_chosen_columns_are_chains_in_the_order_of_the_cotangent() {
    let mut random = Random(12);
    for (groups, rows, pos, columns, width, vocabulary) in
        [(1, 1, 1, 1, 1, 1), (2, 3, 4, 5, 33, 6), (1, 2, 7, 3, 65, 500), (1, 0, 2, 2, 3, 4), (1, 2, 0, 2, 3, 4)]
    {
        let all = groups * rows;
        let w = random.floats(width * vocabulary);
        // Columns come twice in one row; x and ids have the rows of one group.
        let ids: Vec<i32> = (0..rows * columns).map(|_| random.below(vocabulary) as i32).collect();
        let x = random.floats(rows * pos * width);
        let ct = random.floats(all * pos * columns);
        let sizes = ColumnsGradSizes { groups, pos, columns, width, vocabulary };
        let weight = agree(|ctx| {
            filled(groups * width * vocabulary, |out| {
                columns_grad_weight(ctx, sizes, &x, &ids, &ct, out).unwrap();
            })
        });
        let bias =
            agree(|ctx| filled(groups * vocabulary, |out| columns_grad_bias(ctx, sizes, &ids, &ct, out).unwrap()));
        let (mut wish, mut bias_wish) = (vec![0f32; weight.len()], vec![0f32; bias.len()]);
        for (at, ct) in ct.iter().enumerate() {
            let (token, c) = (at / columns, at % columns);
            let (group, row) = (token / pos / rows, token / pos % rows);
            let id = ids[row * columns + c] as usize;
            bias_wish[group * vocabulary + id] += ct;
            for i in 0..width {
                let to = &mut wish[(group * width + i) * vocabulary + id];
                *to = x[(row * pos + token % pos) * width + i].mul_add(*ct, *to);
            }
        }
        assert!(same_bits(&weight, &wish) && same_bits(&bias, &bias_wish));
        let own = &ct[..rows * pos * columns];
        let back: Vec<Vec<f32>> = Isa::available()
            .into_iter()
            .flat_map(|isa| THREADS.map(|threads| (isa, threads)))
            .map(|(isa, threads)| {
                let packed = pack(isa, &w, width, vocabulary);
                filled(x.len(), |out| {
                    columns_grad(&ctx(isa, threads), own, [rows, pos], &ids, &packed, out).unwrap();
                })
            })
            .collect();
        for (at, got) in back[0].iter().enumerate() {
            let (token, i) = (at / width, at % width);
            let wish = (0..columns).fold(0f32, |sum, c| {
                own[token * columns + c].mul_add(w[i * vocabulary + ids[token / pos * columns + c] as usize], sum)
            });
            assert_eq!(got.to_bits(), wish.to_bits());
        }
        assert!(back.iter().all(|got| same_bits(got, &back[0])));
    }
}

#[test]
fn the_gradient_of_cross_entropy_is_softmax_less_the_answer() {
    let mut random = Random(13);
    for vocabulary in [1, 7, 8, 63, 64, 65, 5000] {
        let rows = 19;
        let logits: Vec<f32> = (0..rows * vocabulary).map(|_| random.float() * 20.0).collect();
        let mut ids: Vec<i32> = (0..rows).map(|_| random.below(vocabulary) as i32).collect();
        ids[4] = IGNORED;
        let ct = random.floats(rows);
        let grad = |logits: &[f32]| {
            agree(|ctx| {
                filled(logits.len(), |out| cross_entropy_grad(ctx, logits, &ids, &ct, vocabulary, out).unwrap())
            })
        };
        let got = grad(&logits);
        let p = agree(|ctx| filled(logits.len(), |out| softmax(ctx, &logits, vocabulary, out).unwrap()));
        for (at, got) in got.iter().enumerate() {
            let (row, column) = (at / vocabulary, (at % vocabulary) as i32);
            let wish = match ids[row] {
                IGNORED => 0.0,
                id if id == column => ct[row] * (p[at] - 1.0),
                _ => ct[row] * p[at],
            };
            assert_eq!(got.to_bits(), wish.to_bits());
        }
        let mut special = logits.clone();
        special[0] = f32::NAN;
        special[4 * vocabulary] = f32::NAN;
        special[vocabulary..2 * vocabulary].fill(f32::NEG_INFINITY);
        let special = grad(&special);
        assert!(special[..vocabulary].iter().all(|x| x.is_nan()), "a row with NaN is NaN");
        assert!(special[4 * vocabulary..5 * vocabulary].iter().all(|x| x.to_bits() == 0), "but not an ignored one");
        let nothing = &special[vocabulary..2 * vocabulary];
        let at_id = nothing[ids[1] as usize];
        assert!(at_id == -ct[1] && nothing.iter().filter(|x| **x != 0.0).count() == 1, "a row of −∞ is as unlikely");
        assert!(same_bits(&special[5 * vocabulary..], &got[5 * vocabulary..]));
    }
}

#[test]
fn the_gradient_of_an_edge_read_sums_heads_or_weighs_them_by_the_mask() {
    let mut random = Random(14);
    let (rows, pos, writers) = (3, 5, 4);
    for (width, copies) in [(1, 1), (65, 2), (8, 3), (0, 2)] {
        let sizes = EdgeReadSizes { rows, pos, width, copies };
        let mut ct = random.floats(rows * pos * copies * width);
        let sum = agree(|ctx| filled(rows * pos * width, |out| edge_read_grad(ctx, sizes, &ct, None, out).unwrap()));
        let entry = |at: usize, copy: usize| (at / width * copies + copy) * width + at % width;
        for (at, got) in sum.iter().enumerate() {
            let wish = (0..copies).fold(0f32, |sum, copy| sum + ct[entry(at, copy)]);
            assert_eq!(got.to_bits(), wish.to_bits());
        }
        let mask: Vec<f32> = (0..rows * copies * writers).map(|_| [0.0, -0.0, 1.0, 0.5][random.below(4)]).collect();
        let factor =
            |at: usize, copy: usize, writer: usize| mask[(at / width / pos * copies + copy) * writers + writer];
        for writer in 0..writers {
            // What an uncut edge would bring back is not read.
            for at in 0..rows * pos * width {
                for copy in (0..copies).filter(|copy| factor(at, *copy, writer) == 0.0) {
                    ct[entry(at, copy)] = f32::NAN;
                }
            }
            let chosen = Some(EdgeWriter { mask: &mask, at: writer });
            let got =
                agree(|ctx| filled(rows * pos * width, |out| edge_read_grad(ctx, sizes, &ct, chosen, out).unwrap()));
            for (at, got) in got.iter().enumerate() {
                let wish = (0..copies)
                    .filter(|copy| factor(at, *copy, writer) != 0.0)
                    .fold(0f32, |sum, copy| factor(at, copy, writer).mul_add(ct[entry(at, copy)], sum));
                assert!(same_bits(&[*got], &[wish]));
            }
            ct = random.floats(ct.len());
        }
        let wrong = Some(EdgeWriter { mask: &mask, at: writers });
        let mut out = vec![0.0; rows * pos * width];
        assert!(edge_read_grad(&ctx(Isa::Portable, 1), sizes, &ct, wrong, &mut out).is_err());
    }
}

#[test]
fn gates_factors_and_outer_products_are_the_plain_operations() {
    let mut random = Random(15);
    for width in SIZES.into_iter().chain([2049]) {
        let rows = 3;
        let len = rows * width;
        let (x, y) = (mixed(&mut random, len), mixed(&mut random, len));
        let threshold = random.floats(width);
        let jumped = agree(|ctx| filled(len, |out| jump_relu(ctx, &x, &threshold, out).unwrap()));
        let wish = x.iter().enumerate().map(|(i, &x)| if x > threshold[i % width] || x.is_nan() { x } else { 0.0 });
        assert!(same_bits(&jumped, &wish.collect::<Vec<_>>()));
        let gated = agree(|ctx| filled(len, |out| where_nonzero(ctx, &x, &y, out).unwrap()));
        let wish = x.iter().zip(&y).map(|(x, y)| if *x == 0.0 { 0.0 } else { *y });
        assert!(same_bits(&gated, &wish.collect::<Vec<_>>()));
        let scaled = agree(|ctx| filled(len, |out| scale(ctx, &x, -0.3, out).unwrap()));
        assert!(same_bits(&scaled, &x.iter().map(|x| x * -0.3).collect::<Vec<_>>()));
        let product =
            agree(|ctx| filled(rows * width, |out| outer(ctx, &y[..rows.min(len)], &threshold, out).unwrap_or(())));
        if width > 0 {
            let wish = (0..len).map(|at| y[at / width] * threshold[at % width]);
            assert!(same_bits(&product, &wish.collect::<Vec<_>>()));
        }
    }
}

#[test]
fn a_top_k_mask_keeps_what_top_k_finds() {
    let mut random = Random(16);
    for width in SIZES.into_iter().chain([700]) {
        let rows = 7;
        let x: Vec<f32> = (0..rows * width)
            .map(|_| match random.below(8) {
                0 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0][random.below(5)],
                _ => random.below(5) as f32 - 2.0,
            })
            .collect();
        for k in [0, 1, 3, width, width + 2] {
            let got = agree(|ctx| filled(x.len(), |out| top_k_mask(ctx, &x, width, k, out).unwrap()));
            let (mut values, mut indices) = (vec![0.0; rows * k], vec![0; rows * k]);
            top_k(&ctx(Isa::Portable, 1), &x, width, k, &mut values, &mut indices).unwrap();
            let mut wish = vec![0.0; x.len()];
            for (at, &index) in indices.iter().enumerate().filter(|(_, index)| **index >= 0) {
                let place = at / k * width + index as usize;
                wish[place] = x[place];
            }
            assert!(same_bits(&got, &wish), "{width} {k}");
        }
    }
}

#[test]
fn a_bias_is_added_by_bucket_and_its_gradient_adds_what_shares_a_bucket() {
    let mut random = Random(23);
    for keys in SIZES {
        let (rows, heads, pos, buckets, groups) = (4, 3, 2, 5, 2);
        let sizes = AddBiasSizes { rows, heads, pos, keys, buckets };
        let x = mixed(&mut random, rows * heads * pos * keys);
        let table = random.floats(buckets * heads);
        let which: Vec<i32> = (0..pos * keys).map(|_| random.below(buckets) as i32).collect();
        let head = |at: usize| at / (pos * keys) % heads;
        let bucket = |at: usize| which[at % (pos * keys)] as usize;
        let got = agree(|ctx| filled(x.len(), |out| add_bias(ctx, sizes, &x, &which, &table, out).unwrap()));
        let wish: Vec<f32> = x.iter().enumerate().map(|(at, x)| x + table[bucket(at) * heads + head(at)]).collect();
        assert!(same_bits(&got, &wish));

        let ct = random.floats(x.len());
        let got = agree(|ctx| {
            filled(groups * buckets * heads, |out| add_bias_grad(ctx, groups, sizes, &which, &ct, out).unwrap())
        });
        let mut wish = vec![0.0f32; got.len()];
        for (at, ct) in ct.iter().enumerate() {
            let group = at / (x.len() / groups).max(1);
            wish[(group * buckets + bucket(at)) * heads + head(at)] += ct;
        }
        assert!(same_bits(&got, &wish));
        if let Some(first) = which.first() {
            let wrong: Vec<i32> = [&[*first + 5], &which[1..]].concat();
            let error = add_bias(&ctx(Isa::Portable, 1), sizes, &x, &wrong, &table, &mut vec![0.0; x.len()]);
            assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
        }
    }
}

#[test]
fn a_soft_cap_is_bounded_keeps_what_is_hidden_and_its_gradient_is_the_slope() {
    let mut random = Random(78);
    for length in SIZES.into_iter().chain([5000]) {
        for cap in [0.5, 3.0, 50.0] {
            let x: Vec<f32> = mixed(&mut random, length).iter().map(|x| x * 4.0).collect();
            let capped = agree(|ctx| filled(length, |out| soft_cap(ctx, &x, cap, out).unwrap()));
            for (&x, &got) in x.iter().zip(&capped) {
                let truth = f64::from(cap) * (f64::from(x) / f64::from(cap)).tanh();
                if x == f32::NEG_INFINITY || x.is_nan() {
                    assert!(same_bits(&[got], &[x]));
                } else {
                    let room = 8.0 * U * truth.abs() + f64::from(cap + 1.0) * 2f64.powi(-149);
                    assert!((f64::from(got) - truth).abs() <= room && got.abs() <= cap, "{x} {got} {truth}");
                }
            }
            let ct = mixed(&mut random, length);
            let back = agree(|ctx| filled(length, |out| soft_cap_grad(ctx, &capped, &ct, cap, out).unwrap()));
            let wish = capped.iter().zip(&ct).map(|(&capped, &ct)| {
                let t = capped / cap;
                if capped == f32::NEG_INFINITY { 0.0 } else { ct * (-t).mul_add(t, 1.0) }
            });
            assert!(same_bits(&back, &wish.collect::<Vec<_>>()));
        }
    }
}

#[test]
fn alibi_adds_a_slope_for_the_position_of_a_key_and_its_gradient_is_their_tree() {
    let mut random = Random(79);
    for (rows, given, groups, heads, pos, keys) in [
        (1, 1, 1, 1, 1, 1),
        (2, 2, 1, 3, 4, 70),
        (4, 2, 2, 2, 5, 33),
        (6, 6, 3, 1, 2, 64),
        (2, 2, 2, 2, 3, 0),
        (0, 0, 1, 2, 3, 4),
    ] {
        let sizes = AddAlibiSizes { rows, heads, pos, keys };
        let x = mixed(&mut random, rows * heads * pos * keys);
        let slopes = random.floats(heads);
        let positions: Vec<i32> = (0..given * keys).map(|_| random.below(40) as i32).collect();
        let all: Vec<i32> = (0..rows * keys).map(|at| positions[at % positions.len().max(1)]).collect();
        let got = agree(|ctx| filled(x.len(), |out| add_alibi(ctx, sizes, &x, &all, &slopes, out).unwrap()));
        for (at, (&x, &got)) in x.iter().zip(&got).enumerate() {
            let line = at / keys / pos;
            let sum = slopes[line % heads].mul_add(all[line / heads * keys + at % keys] as f32, x);
            assert!(same_bits(&[got], &[if x == f32::NEG_INFINITY { x } else { sum }]));
        }
        let ct = random.floats(x.len());
        let got = agree(|ctx| {
            filled(groups * heads, |out| add_alibi_grad(ctx, groups, sizes, &positions, &ct, out).unwrap())
        });
        let mut wish = vec![0.0f32; groups * heads];
        for row in 0..rows {
            for head in 0..heads {
                for query in 0..pos {
                    let line = &ct[((row * heads + head) * pos + query) * keys..][..keys];
                    let places = &all[row * keys..][..keys];
                    let sum = tree(places.iter().zip(line).map(|(&position, &ct)| (position as f32, ct)));
                    wish[row / (rows / groups) * heads + head] += sum;
                }
            }
        }
        assert!(same_bits(&got, &wish));
    }
    let one = AddAlibiSizes { rows: 1, heads: 2, pos: 1, keys: 2 };
    let error = add_alibi(&ctx(Isa::Portable, 1), one, &[0.0; 4], &[0; 2], &[1.0], &mut [0.0; 4]);
    assert!(matches!(error, Err(KernelError::Shape { .. })));
}

#[test]
fn adamw_is_the_plain_update_on_every_path() {
    let mut random = Random(77);
    let with = AdamW { factor: 0.5, beta1: 0.9, beta2: 0.99, keep: 0.999, size: 0.02, root: 0.3, eps: 1e-8 };
    for length in [0, 1, 5, 16, 100, 1023] {
        let [gradient, weights, first] = [0; 3].map(|_| random.floats(length));
        let second: Vec<f32> = random.floats(length).iter().map(|x| x * x).collect();
        for isa in Isa::available() {
            let (mut w, mut m, mut v) = (weights.clone(), first.clone(), second.clone());
            adamw(isa, with, &gradient, &mut w, &mut m, &mut v);
            for at in 0..length {
                let g = f64::from(gradient[at]) * 0.5;
                let mean = f64::from(first[at]) + (g - f64::from(first[at])) * (1.0 - 0.9);
                let square = f64::from(second[at]) * 0.99 + g * g * (1.0 - 0.99);
                let step = 0.02 * (mean / (square.sqrt() / 0.3 + 1e-8));
                assert_eq!(m[at].to_bits(), (mean as f32).to_bits());
                assert_eq!(v[at].to_bits(), (square as f32).to_bits());
                assert_eq!(w[at].to_bits(), ((f64::from(weights[at]) * 0.999 - step) as f32).to_bits());
            }
        }
    }
}
