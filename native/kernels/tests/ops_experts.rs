mod support;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::gemm::Context;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;
use support::*;

/// Gates [tokens, experts], k of each token's open.
fn gates(random: &mut Random, tokens: usize, experts: usize, k: usize) -> Vec<f32> {
    let p: Vec<f32> = random.floats(tokens * experts).iter().map(|p| p.abs() + 0.01).collect();
    routed(&p, experts, k)
}

/// The gates of the k largest.
fn routed(p: &[f32], experts: usize, k: usize) -> Vec<f32> {
    let tokens = p.len() / experts.max(1);
    let chosen = agree(|ctx| filled(tokens * k, |out| choices(ctx, p, experts, k, out).unwrap()));
    agree(|ctx| filled(p.len(), |out| route(ctx, p, experts, (&chosen, k), out).unwrap()))
}

#[test]
fn a_route_sends_a_token_to_what_top_k_finds_and_divides_by_the_sum() {
    let mut random = Random(31);
    for experts in SIZES {
        let tokens = 7;
        let p: Vec<f32> = (0..tokens * experts).map(|_| random.below(6) as f32 / 4.0).collect();
        for k in [0, 1, 2, experts, experts + 3] {
            let (mut values, mut indices) = (vec![0.0; tokens * k], vec![0; tokens * k]);
            top_k(&ctx(Isa::Portable, 1), &p, experts, k, &mut values, &mut indices).unwrap();
            let chosen = agree(|ctx| filled(tokens * k, |out| choices(ctx, &p, experts, k, out).unwrap()));
            assert!(chosen.iter().zip(&indices).all(|(got, wish)| *got == *wish as f32), "{experts} {k}");
            let kept = agree(|ctx| filled(p.len(), |out| top_k_mask(ctx, &p, experts, k, out).unwrap()));
            let got = routed(&p, experts, k);
            for token in 0..tokens {
                let row = token * experts..(token + 1) * experts;
                // Quarters add up exactly in any order.
                let sum: f32 = kept[row.clone()].iter().sum();
                for index in row {
                    let open = indices[token * k..(token + 1) * k].contains(&((index % experts) as i32));
                    let wish = if open { kept[index] / sum } else { 0.0 };
                    assert!(same_bits(&[got[index]], &[wish]), "{experts} {k} {token}: {} {wish}", got[index]);
                }
            }
        }
    }
}

#[test]
fn what_is_no_index_chooses_nobody() {
    let p = [0.5, 0.25, 0.25, 1.0, 2.0, 3.0];
    let chosen = [2.0, 2.0, 3.0, f32::NAN, -1.0, 0.5, f32::INFINITY, -0.5];
    let got = agree(|ctx| filled(6, |out| route(ctx, &p, 3, (&chosen, 4), out).unwrap()));
    assert_eq!(got, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn the_gradient_of_a_route_is_its_derivative_and_reads_nothing_that_was_not_chosen() {
    let mut random = Random(32);
    for experts in [2, 5, 33, 65] {
        let (tokens, k) = (3, 2);
        let p: Vec<f32> = random.floats(tokens * experts).iter().map(|p| p.abs() + 0.05).collect();
        let mut ct = random.floats(tokens * experts);
        let open = routed(&p, experts, k);
        for (ct, gate) in ct.iter_mut().zip(&open) {
            if *gate == 0.0 {
                *ct = f32::NAN;
            }
        }
        let got = agree(|ctx| filled(p.len(), |out| route_grad(ctx, [&p, &open, &ct], experts, out).unwrap()));
        // In float64, with the choice held: Σ ct·p/Σp, moved by a little in one p.
        let loss = |token: usize, moved: usize, by: f64| -> f64 {
            let row = token * experts..(token + 1) * experts;
            let at = |index: usize| f64::from(p[index]) + if index == moved { by } else { 0.0 };
            let sum: f64 = row.clone().filter(|&index| open[index] != 0.0).map(at).sum();
            row.filter(|&index| open[index] != 0.0).map(|index| f64::from(ct[index]) * at(index) / sum).sum()
        };
        for (index, got) in got.iter().enumerate() {
            if open[index] == 0.0 {
                assert_eq!(got.to_bits(), 0);
                continue;
            }
            let token = index / experts;
            let slope = (loss(token, index, 1e-4) - loss(token, index, -1e-4)) / 2e-4;
            assert!((f64::from(*got) - slope).abs() < 1e-4 * (1.0 + slope.abs()), "{got} {slope}");
        }
    }
}

#[test]
fn an_expert_has_the_bits_of_its_parts_and_sees_only_its_own_tokens() {
    let mut random = Random(33);
    for [tokens, read, inner, width] in [[1, 1, 1, 1], [7, 9, 33, 5], [65, 16, 48, 65], [3, 40, 7, 8], [0, 3, 4, 5]] {
        let (experts, k) = (5, 2);
        let open = gates(&mut random, tokens, experts, k);
        let [w_gate, w_in, w_out] = [read * inner, read * inner, inner * width].map(|length| random.floats(length));
        let (x, before) = (random.floats(tokens * read), random.floats(tokens * width));
        for expert_at in 0..experts {
            let gate = ExpertGate { gates: &open, experts, expert: expert_at };
            // What other experts get may be anything.
            let mut own = x.clone();
            for token in (0..tokens).filter(|token| open[token * experts + expert_at] == 0.0) {
                own[token * read..(token + 1) * read].fill(f32::NAN);
            }
            for base in [None, Some(&before[..])] {
                let got = agree(|ctx| {
                    let [gated, into, written] = [
                        pack(ctx.isa, &w_gate, read, inner),
                        pack(ctx.isa, &w_in, read, inner),
                        pack(ctx.isa, &w_out, inner, width),
                    ];
                    let function = ActivationFunction::Silu;
                    let w = ExpertWeights { gate: &gated, into: &into, out: &written, function };
                    filled(tokens * width, |out| expert(ctx, base, &own, gate, w, out).unwrap())
                });
                let wish = agree(|ctx| {
                    let times = |x: &[f32], w: &[f32], k: usize, n: usize| {
                        filled(tokens * n, |out| {
                            linear(ctx, x, tokens, &pack(ctx.isa, w, k, n), Linear::default(), out).unwrap()
                        })
                    };
                    let pre = times(&x, &w_gate, read, inner);
                    let act = filled(pre.len(), |out| {
                        activation(ctx, ActivationFunction::Silu, &pre, out).unwrap();
                    });
                    let up = times(&x, &w_in, read, inner);
                    let hidden = filled(up.len(), |out| mul(ctx, &act, &up, out).unwrap());
                    let y = times(&hidden, &w_out, inner, width);
                    filled(y.len(), |out| add_gated(ctx, base, &y, width, gate, out).unwrap())
                });
                assert!(same_bits(&got, &wish), "{tokens} {read} {inner} {width}, expert {expert_at}");
            }
        }
    }
}

#[test]
fn what_is_gated_is_added_with_two_roundings_and_its_gradient_is_the_tree() {
    let mut random = Random(34);
    for width in SIZES {
        let (tokens, experts) = (5, 4);
        let open = gates(&mut random, tokens, experts, 2);
        let (x, y) = (random.floats(tokens * width), random.floats(tokens * width));
        let gate = ExpertGate { gates: &open, experts, expert: 3 };
        let got = agree(|ctx| filled(x.len(), |out| add_gated(ctx, Some(&x), &y, width, gate, out).unwrap()));
        let factor = |at: usize| open[at / width * experts + 3];
        let wish: Vec<f32> =
            (0..x.len()).map(|at| if factor(at) == 0.0 { x[at] } else { x[at] + factor(at) * y[at] }).collect();
        assert!(same_bits(&got, &wish));
        let slope = agree(|ctx| filled(open.len(), |out| gate_grad(ctx, &x, &y, width, [3, experts], out).unwrap()));
        for (at, got) in slope.iter().enumerate() {
            let token = at / experts;
            if at % experts != 3 {
                assert_eq!(got.to_bits(), 0);
                continue;
            }
            let row = token * width..(token + 1) * width;
            let (x, y) = (&x[row.clone()], &y[row]);
            let dot = |ctx: &Context<'_>, out: &mut [f32]| project_dot(ctx, x, y, out).unwrap();
            let one = if width == 0 { vec![0.0] } else { agree(|ctx| filled(1, |out| dot(ctx, out))) };
            assert!(same_bits(&[*got], &one));
        }
    }
}

#[test]
fn sizes_that_do_not_agree_are_refused() {
    let one = ctx(Isa::Portable, 1);
    let mut out = [0.0; 4];
    let gate = |expert: usize| ExpertGate { gates: &[1.0, 0.0, 0.0, 1.0], experts: 2, expert };
    assert!(matches!(
        add_gated(&one, None, &[0.0; 4], 2, gate(2), &mut out),
        Err(KernelError::OutOfRange { what: "expert", limit: 2, got: 2 })
    ));
    assert!(add_gated(&one, None, &[0.0; 3], 2, gate(0), &mut out).is_err());
    assert!(add_gated(&one, Some(&[0.0; 3]), &[0.0; 4], 2, gate(0), &mut out).is_err());
    assert!(add_gated(&one, None, &[0.0; 4], 4, gate(0), &mut out).is_err());
    assert!(gate_grad(&one, &[0.0; 3], &[0.0; 4], 2, [0, 2], &mut out).is_err());
    assert!(gate_grad(&one, &[0.0; 4], &[0.0; 4], 2, [2, 2], &mut out).is_err());
    assert!(route(&one, &[0.0; 3], 2, (&[0.0; 2], 1), &mut out[..3]).is_err());
    assert!(route(&one, &[0.0; 4], 2, (&[0.0; 3], 1), &mut out).is_err());
    assert!(route_grad(&one, [&[0.0; 4], &[0.0; 3], &[0.0; 4]], 2, &mut out).is_err());
    assert!(choices(&one, &[0.0; 5], 2, 1, &mut out).is_err());
    let (w, wrong) = (pack(Isa::Portable, &[1.0; 4], 2, 2), pack(Isa::Portable, &[1.0; 6], 2, 3));
    let function = ActivationFunction::Relu;
    let weights = ExpertWeights { gate: &w, into: &wrong, out: &w, function };
    assert!(expert(&one, None, &[0.0; 4], gate(0), weights, &mut out).is_err());
    let weights = ExpertWeights { gate: &wrong, into: &wrong, out: &w, function };
    assert!(expert(&one, None, &[0.0; 4], gate(0), weights, &mut out).is_err());
}
