//! `cargo bench --bench gradients [-- attention]`: what the gradients of a training step cost beside their forward kernels, one JSON line
//! each. Every gradient is timed in turns with its forward kernel, so that a busy machine slows both.

use std::hint::black_box;
use std::time::Instant;

use circuitscope_kernels::gemm::Context;
use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};

const ROUNDS: usize = 15;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
}

fn time(run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Best and median of each, in milliseconds; `work` is in operations of one forward and of one backward run.
fn against(what: &str, shape: &str, threads: usize, work: [f64; 2], forward: &mut dyn FnMut(), back: &mut dyn FnMut()) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|wanted| !what.contains(&wanted)) {
        return;
    }
    let mut times = [vec![], vec![]];
    for round in 0..ROUNDS + 2 {
        let both = [time(forward), time(back)];
        for (times, time) in times.iter_mut().zip(both).filter(|_| round > 1) {
            times.push(time);
        }
    }
    let [f, b] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        [times[0], times[ROUNDS / 2]]
    });
    let rate = |work: f64, time: f64| work / time / 1e9;
    println!(
        r#"{{"kind":"{what}","shape":"{shape}","threads":{threads},"forwardMs":{:.3},"backMs":{:.3},"forwardBest":{:.1},"backBest":{:.1},"unit":"G/s","ratioOfRatesMedian":{:.2}}}"#,
        f[1] * 1e3,
        b[1] * 1e3,
        rate(work[0], f[0]),
        rate(work[1], b[0]),
        rate(work[1], b[1]) / rate(work[0], f[1]),
    );
}

fn main() {
    let isa = *Isa::available().last().unwrap();
    for threads in [1, 2] {
        let ctx = Context { isa, threads, cancel: None };
        for [rows, k, n] in [[4096, 256, 1024], [4096, 1024, 256], [1024, 768, 3072], [2048, 64, 512]] {
            let (x, w, ct) = (numbers(rows * k), numbers(k * n), numbers(rows * n));
            let bytes: Vec<u8> = w.iter().flat_map(|x| x.to_le_bytes()).collect();
            let source = MatrixSource { bytes: &bytes, dtype: Dtype::F32, offset: 0, k, n, sk: n, sn: 1 };
            let packed = PackedMatrix::pack(isa, source).unwrap();
            let (mut out, mut back, mut grad) = (vec![0.0; rows * n], vec![0.0; rows * k], vec![0.0; k * n]);
            let shape = format!("{rows}x{k}x{n}");
            let work = 2.0 * (rows * k * n) as f64;
            let other = packed.transposed(&ctx, None).unwrap();
            against(
                "linear transposed",
                &shape,
                threads,
                [work; 2],
                &mut || linear(&ctx, &x, rows, &packed, Linear::default(), &mut out).unwrap(),
                &mut || linear(&ctx, &ct, rows, &other, Linear::default(), &mut back).unwrap(),
            );
            against(
                "linear_grad_weight",
                &shape,
                threads,
                [work; 2],
                &mut || linear(&ctx, &x, rows, &packed, Linear::default(), &mut out).unwrap(),
                &mut || linear_grad_weight(&ctx, &x, &ct, [1, k, n], &mut grad).unwrap(),
            );
            let mut spare = None;
            against(
                "packing: matrix, and its transpose from it",
                &shape,
                threads,
                [bytes.len() as f64; 2],
                &mut || drop(black_box(PackedMatrix::pack_with(&ctx, source).unwrap())),
                &mut || spare = Some(packed.transposed(&ctx, spare.take()).unwrap()),
            );
            black_box((&out, &back, &grad));
        }
        for (rows, pos, width) in [(16, 256, 64), (4, 1024, 64), (32, 128, 32)] {
            let count = 4;
            let heads = Heads { rows, pos, keys: pos, heads: count, kv_heads: count, width };
            let [q, k, v, ct] = [0; 4].map(|_| numbers(rows * pos * count * width));
            let mut pattern = vec![0.0; rows * count * pos * pos];
            let mut z = vec![0.0; q.len()];
            let masking = Masking { scale: 0.125, reach: Reach::CAUSAL, keys: None };
            let to = AttentionOut { z: &mut z, scores: None, pattern: Some(&mut pattern) };
            attention(&ctx, heads, width, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
            let kept = pattern.clone();
            let [mut dq, mut dk, mut dv] = [0; 3].map(|_| vec![0.0; q.len()]);
            // Two products of the forward kernel, five of the other: half of each is above the diagonal.
            let work = (rows * count * pos * pos * width) as f64;
            against(
                "attention_grad",
                &format!("{rows}x{pos}x{count}x{width}"),
                threads,
                [2.0 * work, 4.0 * work],
                &mut || {
                    let to = AttentionOut { z: &mut z, scores: None, pattern: Some(&mut pattern) };
                    attention(&ctx, heads, width, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
                },
                &mut || {
                    let from = AttentionGradIn { q: &q, k: &k, v: &v, pattern: &kept, ct: &ct };
                    let to = AttentionGradOut { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv), ds: None };
                    attention_grad(
                        &ctx,
                        heads,
                        width,
                        from,
                        Scoring { scale: 0.125, reach: Reach::CAUSAL, cap: None },
                        to,
                    )
                    .unwrap();
                },
            );
        }
        let (x, ct) = (numbers(4 << 20), numbers(4 << 20));
        let mut out = vec![0.0; x.len()];
        for (name, function) in [("gelu_tanh", ActivationFunction::GeluTanh), ("relu", ActivationFunction::Relu)] {
            let mut back = vec![0.0; x.len()];
            against(
                &format!("activation_grad {name}"),
                "4194304",
                threads,
                [x.len() as f64; 2],
                &mut || activation(&ctx, function, &x, &mut out).unwrap(),
                &mut || activation_grad(&ctx, function, &x, &ct, &mut back).unwrap(),
            );
        }
        let (vocabulary, rows) = (4096, 1024);
        let ids: Vec<i32> = (0..rows).map(|i| i * 37 % vocabulary).collect();
        let (mut losses, seed) = (vec![0.0; rows as usize], numbers(rows as usize));
        against(
            "cross_entropy_grad",
            "1024x4096",
            threads,
            [x.len() as f64; 2],
            &mut || cross_entropy(&ctx, &x, &ids, vocabulary as usize, &mut losses).unwrap(),
            &mut || cross_entropy_grad(&ctx, &x, &ids, &seed, vocabulary as usize, &mut out).unwrap(),
        );
        let (width, norms) = (256, x.len() / 256);
        let (w, mut scales) = (numbers(width), vec![0.0; norms]);
        let mut back = vec![0.0; x.len()];
        let whole = Norm { width, kind: NormKind::Layer, eps: 1e-5, w: Some(&w), b: None };
        norm_scale(&ctx, &x, width, NormKind::Layer, 1e-5, &mut scales).unwrap();
        against(
            "norm_grad",
            "16384x256",
            threads,
            [x.len() as f64; 2],
            &mut || norm(&ctx, whole, &x, NormOut { out: &mut out, scale: None, normalized: None }).unwrap(),
            &mut || {
                let grad = NormGrad { width, kind: NormKind::Layer, w: Some(&w) };
                norm_grad(&ctx, grad, &x, &scales, &ct, &mut back).unwrap();
            },
        );
        let mut sums = vec![0.0; 1024];
        against(
            "column_sum against mul",
            "4096x1024",
            threads,
            [x.len() as f64; 2],
            &mut || mul(&ctx, &x, &ct, &mut out).unwrap(),
            &mut || column_sum(&ctx, &x, Some(&ct), [1, 1024], &mut sums).unwrap(),
        );
    }
}
