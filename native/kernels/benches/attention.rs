//! `cargo bench --bench attention [-- WORD]`: causal attention forward and back, and the long rows of a vocabulary or a stream,
//! as JSON lines, one a shape and number of threads: best and median milliseconds.

use std::hint::black_box;
use std::time::Instant;

use circuitscope_kernels::gemm::Context;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;

const ROUNDS: usize = 25;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1013) as f32 / 506.5 - 1.0).collect()
}

fn time(what: &str, threads: usize, run: &mut dyn FnMut()) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|wanted| !what.contains(&wanted)) {
        return;
    }
    let mut times: Vec<f64> = (0..ROUNDS + 3)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(3)
        .collect();
    times.sort_by(f64::total_cmp);
    println!(r#"{{"kind":"{what}","threads":{threads},"bestMs":{:.3},"medianMs":{:.3}}}"#, times[0], times[ROUNDS / 2]);
}

fn main() {
    let isa = *Isa::available().last().unwrap();
    for threads in [1, 2] {
        let ctx = Context { isa, threads, cancel: None };
        for pos in [512, 2048] {
            let heads = Heads { rows: 1, pos, keys: pos, heads: 12, kv_heads: 12, width: 64 };
            let [q, k, v, ct] = [3, 5, 7, 11].map(|seed| {
                let all = numbers(pos * 12 * 64 + seed);
                all[seed..].to_vec()
            });
            let [mut z, mut dq, mut dk, mut dv] = [0; 4].map(|_| vec![0.0; q.len()]);
            let mut pattern = vec![0.0; 12 * pos * pos];
            let masking = Masking { scale: 0.125, reach: Reach::CAUSAL, keys: None };
            time(&format!("attention {pos}"), threads, &mut || {
                let to = AttentionOut { z: &mut z, scores: None, pattern: None };
                attention(&ctx, heads, 64, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
            });
            time(&format!("attention and back {pos}"), threads, &mut || {
                let to = AttentionOut { z: &mut z, scores: None, pattern: Some(&mut pattern) };
                attention(&ctx, heads, 64, [&q, &k, &v], masking, OnScores::default(), to).unwrap();
                let from = AttentionGradIn { q: &q, k: &k, v: &v, pattern: &pattern, ct: &ct };
                let to = AttentionGradOut { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv), ds: None };
                attention_grad(&ctx, heads, 64, from, Scoring { scale: 0.125, reach: Reach::CAUSAL, cap: None }, to)
                    .unwrap();
            });
            black_box((&z, &dq, &dk, &dv));
        }
        let (rows, vocabulary) = (1024, 24576);
        let logits = numbers(rows * vocabulary);
        let mut out = vec![0.0; logits.len()];
        let ids: Vec<i32> = (0..rows as i32).map(|row| row * 23 % vocabulary as i32).collect();
        let ct = vec![1.0 / rows as f32; rows];
        time("softmax", threads, &mut || softmax(&ctx, &logits, vocabulary, &mut out).unwrap());
        time("cross_entropy", threads, &mut || {
            cross_entropy(&ctx, &logits, &ids, vocabulary, &mut out[..rows]).unwrap()
        });
        time("cross_entropy_grad", threads, &mut || {
            cross_entropy_grad(&ctx, &logits, &ids, &ct, vocabulary, &mut out).unwrap()
        });
        let (x, w, b) = (numbers(rows * 768), numbers(768), numbers(768));
        let norm_of = Norm { width: 768, kind: NormKind::Layer, eps: 1e-5, w: Some(&w), b: Some(&b) };
        let mut out = vec![0.0; x.len()];
        time("layer_norm", threads, &mut || {
            norm(&ctx, norm_of, &x, NormOut { out: &mut out, scale: None, normalized: None }).unwrap()
        });
        black_box(&out);
    }
}
