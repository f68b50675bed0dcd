mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::gemm::{Context, Part, matmul, matmul_columns, matmul_part};
use circuitscope_kernels::half::{Bf16, Dtype, F16};
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{ActivationFunction as Function, Linear, activation, linear};
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};
use support::*;

/// Compares every instruction set at `threads` with the oracle.
fn check(sizes: [usize; 3], threads: &[usize], seed: u64) {
    let [m, k, n] = sizes;
    let mut random = Random(seed);
    let (a, w, bias) = (random.floats(m * k), random.floats(k * n), random.floats(n));
    for bias in [None, Some(bias.as_slice())] {
        let wanted = naive(sizes, &a, &w, bias);
        for isa in Isa::available() {
            let packed = pack(isa, &w, k, n);
            for &threads in threads {
                let mut c = vec![f32::NAN; m * n];
                matmul(&ctx(isa, threads), rows(&a, m, k), &packed, bias, rows_mut(&mut c, m, n)).unwrap();
                assert!(same_bits(&c, &wanted), "{isa:?} {sizes:?} threads {threads} bias {}", bias.is_some());
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_chain_at_every_small_shape() {
    for m in SIZES {
        for k in SIZES {
            for n in SIZES {
                check([m, k, n], &[1], (m * 10_000 + k * 100 + n) as u64);
            }
        }
    }
}

#[test]
fn every_thread_count_gives_the_chain_at_random_shapes() {
    let mut random = Random(7);
    for seed in 0..24 {
        check([random.below(97), random.below(97), random.below(97)], &THREADS, seed);
    }
    // Large enough for several tasks a thread, several stretches of k and more than one group of row blocks.
    check([211, 700, 131], &THREADS, 99);
    check([1, 600, 1000], &THREADS, 100);
}

#[test]
fn a_chain_longer_than_every_stretch_continues_unbroken() {
    check([3, 20_000, 5], &[1, 2], 1);
    check([40, 9_000, 33], &[2], 2);
}

#[test]
fn a_row_alone_has_the_bits_it_has_in_company() {
    let (m, k, n) = (37, 130, 70);
    let mut random = Random(3);
    let (a, w, bias) = (random.floats(m * k), random.floats(k * n), random.floats(n));
    for isa in Isa::available() {
        let packed = pack(isa, &w, k, n);
        let mut together = vec![0.0; m * n];
        matmul(&ctx(isa, 2), rows(&a, m, k), &packed, Some(&bias), rows_mut(&mut together, m, n)).unwrap();
        for count in 1..=13 {
            for first in [0, m - count] {
                let mut part = vec![0.0; count * n];
                let a = rows(&a[first * k..], count, k);
                matmul(&ctx(isa, 1), a, &packed, Some(&bias), rows_mut(&mut part, count, n)).unwrap();
                assert!(
                    same_bits(&part, &together[first * n..(first + count) * n]),
                    "{isa:?} {count} rows from {first}"
                );
            }
        }
    }
}

#[test]
fn any_range_of_columns_keeps_its_chains_and_writes_nothing_else() {
    let (m, k, n) = (14, 300, 101);
    let mut random = Random(4);
    let (a, w, bias) = (random.floats(m * k), random.floats(k * n), random.floats(n));
    let whole = naive([m, k, n], &a, &w, Some(&bias));
    for isa in Isa::available() {
        let packed = pack(isa, &w, k, n);
        for range in [0..n, 0..1, 5..9, 30..34, 31..33, 64..96, 16..101, 100..101, 50..50] {
            let (width, step) = (range.len(), range.len() + 3);
            let mut c = vec![-7.0; m * step];
            let part = Part { k: 0..k, n: range.clone() };
            matmul_part(
                &ctx(isa, 3),
                rows(&a, m, k),
                &packed,
                part,
                Some(&bias[range.clone()]),
                rows_mut(&mut c, m, step),
            )
            .unwrap();
            for r in 0..m {
                let wanted = &whole[r * n + range.start..r * n + range.end];
                assert!(same_bits(&c[r * step..r * step + width], wanted), "{isa:?} {range:?}");
                assert!(c[r * step + width..(r + 1) * step].iter().all(|&x| x == -7.0));
            }
        }
    }
}

#[test]
fn a_range_of_rows_of_w_is_the_product_with_those_rows() {
    // One head's z [m, 16] times its block of W_O.
    let (m, k, n, head) = (5, 64, 50, 32..48);
    let mut random = Random(5);
    let (a, w) = (random.floats(m * k), random.floats(k * n));
    let z: Vec<f32> = (0..m).flat_map(|r| a[r * k + head.start..r * k + head.end].to_vec()).collect();
    let wanted = naive([m, head.len(), n], &z, &w[head.start * n..head.end * n], None);
    for isa in Isa::available() {
        let (packed, mut c) = (pack(isa, &w, k, n), vec![0.0; m * n]);
        let part = Part { k: head.clone(), n: 0..n };
        matmul_part(&ctx(isa, 1), rows(&a[head.start..], m, k), &packed, part, None, rows_mut(&mut c, m, n)).unwrap();
        assert!(same_bits(&c, &wanted), "{isa:?}");
    }
}

#[test]
fn chosen_columns_have_the_chains_of_the_whole_product() {
    let (m, k, n) = (4, 90, 200);
    let mut random = Random(6);
    let (a, w, bias) = (random.floats(m * k), random.floats(k * n), random.floats(70));
    let columns: Vec<usize> = (0..70).map(|_| random.below(n)).collect();
    let whole = naive([m, k, n], &a, &w, None);
    for isa in Isa::available() {
        let (packed, mut c) = (pack(isa, &w, k, n), vec![0.0; m * 70]);
        matmul_columns(&ctx(isa, 2), rows(&a, m, k), &packed, &columns, Some(&bias), rows_mut(&mut c, m, 70)).unwrap();
        for (r, row) in c.chunks(70).enumerate() {
            let wanted: Vec<f32> = columns.iter().zip(&bias).map(|(&j, bias)| whole[r * n + j] + bias).collect();
            assert!(same_bits(row, &wanted), "{isa:?}");
        }
        let outside = matmul_columns(&ctx(isa, 1), rows(&a, m, k), &packed, &[n], None, rows_mut(&mut c, m, 1));
        assert_eq!(outside, Err(KernelError::OutOfRange { what: "column of a packed matrix", limit: n, got: n }));
    }
}

#[test]
fn sixteen_bit_weights_multiply_as_their_widened_values() {
    let (k, n) = (75, 77);
    let mut random = Random(8);
    for dtype in [Dtype::Bf16, Dtype::F16] {
        // All patterns but infinities and NaN, which would hide everything else: subnormals included.
        let stored: Vec<u16> = (0..k * n)
            .map(|_| {
                loop {
                    let bits = random.bits() as u16;
                    let wide = if dtype == Dtype::Bf16 { Bf16(bits).to_f32() } else { F16(bits).to_f32() };
                    if wide.abs() < 1e5 {
                        return bits;
                    }
                }
            })
            .collect();
        let wide: Vec<f32> = stored
            .iter()
            .map(|&bits| if dtype == Dtype::Bf16 { Bf16(bits).to_f32() } else { F16(bits).to_f32() })
            .collect();
        // An odd start: the bytes of a file need not be aligned.
        let file: Vec<u8> = [0xff].into_iter().chain(stored.iter().flat_map(|bits| bits.to_le_bytes())).collect();
        for m in [1, 2, 7, 30] {
            let a = random.floats(m * k);
            let wanted = naive([m, k, n], &a, &wide, None);
            for isa in Isa::available() {
                let source = MatrixSource { bytes: &file[1..], dtype, offset: 0, k, n, sk: n, sn: 1 };
                let packed = PackedMatrix::pack(isa, source).unwrap();
                assert_eq!(packed.bytes(), (n.next_multiple_of(packed.nr()) * k * 2).next_multiple_of(64));
                let mut c = vec![0.0; m * n];
                matmul(&ctx(isa, 2), rows(&a, m, k), &packed, None, rows_mut(&mut c, m, n)).unwrap();
                assert!(same_bits(&c, &wanted), "{isa:?} {dtype:?} {m} rows");
            }
        }
    }
}

#[test]
fn infinities_nan_and_subnormals_pass_as_through_the_chain() {
    let specials =
        [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e-45, -1e-40, f32::MIN_POSITIVE, 0.0, -0.0, f32::MAX, 1e-20];
    let mut random = Random(9);
    for _ in 0..40 {
        let [m, k, n] = [1 + random.below(14), 1 + random.below(40), 1 + random.below(40)];
        let mut odd = |len: usize| -> Vec<f32> {
            let pick = |random: &mut Random| match random.below(12) {
                0 => specials[random.below(10)],
                1..4 => random.float() * 1e-22,
                _ => random.float(),
            };
            (0..len).map(|_| pick(&mut random)).collect()
        };
        let (a, w, bias) = (odd(m * k), odd(k * n), odd(n));
        let wanted = naive([m, k, n], &a, &w, Some(&bias));
        for isa in Isa::available() {
            let (packed, mut c) = (pack(isa, &w, k, n), vec![0.0; m * n]);
            matmul(&ctx(isa, 1), rows(&a, m, k), &packed, Some(&bias), rows_mut(&mut c, m, n)).unwrap();
            assert!(same_bits(&c, &wanted), "{isa:?}");
        }
    }
}

#[test]
fn subnormal_sums_are_not_flushed() {
    for isa in Isa::available() {
        let (packed, mut c) = (pack(isa, &[1e-30, 1e-30], 2, 1), [0.0]);
        matmul(&ctx(isa, 1), rows(&[1e-12, 1e-12], 1, 2), &packed, None, rows_mut(&mut c, 1, 1)).unwrap();
        assert!(c[0] > 0.0 && c[0].is_subnormal(), "{isa:?}");
    }
}

#[test]
fn a_product_without_terms_is_zero_plus_bias() {
    for isa in Isa::available() {
        let (packed, mut c) = (pack(isa, &[], 0, 3), [9.0; 6]);
        matmul(&ctx(isa, 2), rows(&[], 2, 0), &packed, None, rows_mut(&mut c, 2, 3)).unwrap();
        assert!(same_bits(&c, &[0.0; 6]));
        matmul(&ctx(isa, 2), rows(&[], 2, 0), &packed, Some(&[1.0, -0.0, 2.0]), rows_mut(&mut c, 2, 3)).unwrap();
        assert!(same_bits(&c, &[1.0, 0.0, 2.0, 1.0, 0.0, 2.0]));
    }
}

#[test]
fn the_error_stays_within_n_roundings_of_the_absolute_products() {
    let (m, k, n) = (9, 777, 33);
    let mut random = Random(10);
    let (a, w) = (random.floats(m * k), random.floats(k * n));
    let (isa, mut c) = (*Isa::available().last().unwrap(), vec![0.0; m * n]);
    matmul(&ctx(isa, 2), rows(&a, m, k), &pack(isa, &w, k, n), None, rows_mut(&mut c, m, n)).unwrap();
    for r in 0..m {
        for j in 0..n {
            let terms = (0..k).map(|i| f64::from(a[r * k + i]) * f64::from(w[i * n + j]));
            let (exact, absolute) = terms.fold((0.0, 0.0), |(sum, abs), term: f64| (sum + term, abs + term.abs()));
            let bound = k as f64 * 2f64.powi(-24) * absolute + k as f64 * 2f64.powi(-149);
            assert!((f64::from(c[r * n + j]) - exact).abs() <= bound);
        }
    }
}

#[test]
fn a_raised_flag_stops_the_product() {
    let (m, k, n) = (256, 1024, 512);
    let (a, w) = (vec![1.0; m * k], vec![1.0; k * n]);
    for isa in Isa::available() {
        let packed = pack(isa, &w, k, n);
        for threads in [1, 2] {
            let (flag, mut c) = (AtomicBool::new(true), vec![0.0; m * n]);
            let context = Context { isa, threads, cancel: Some(&flag) };
            let before = matmul(&context, rows(&a, m, k), &packed, None, rows_mut(&mut c, m, n));
            assert_eq!(before, Err(KernelError::Cancelled));
            assert!(c.iter().all(|&x| x == 0.0));

            flag.store(false, Ordering::Relaxed);
            std::thread::scope(|scope| {
                let running = scope.spawn(|| {
                    // Repeats until it is stopped: fails by hanging, not by luck of the clock.
                    loop {
                        let c = rows_mut(&mut c, m, n);
                        if let Err(error) = matmul(&context, rows(&a, m, k), &packed, None, c) {
                            return (error, Instant::now());
                        }
                    }
                });
                std::thread::sleep(Duration::from_millis(5));
                flag.store(true, Ordering::Relaxed);
                let raised = Instant::now();
                let (error, stopped) = running.join().unwrap();
                assert_eq!(error, KernelError::Cancelled);
                assert!(stopped.saturating_duration_since(raised) < Duration::from_secs(2), "{isa:?}");
            });
        }
    }
}

#[test]
fn sizes_that_disagree_are_errors_and_touch_nothing() {
    let isa = Isa::Portable;
    let (packed, a) = (pack(isa, &[1.0; 12], 3, 4), [1.0; 6]);
    let run = |a: &[f32], a_step, bias: Option<&[f32]>, c_len: usize, c_rows, c_step| {
        let mut c = vec![5.0; c_len];
        let result = matmul(&ctx(isa, 1), rows(a, 2, a_step), &packed, bias, rows_mut(&mut c, c_rows, c_step));
        assert!(result.is_ok() || c.iter().all(|&x| x == 5.0));
        result
    };
    assert_eq!(run(&a, 3, None, 8, 2, 4), Ok(()));
    assert!(matches!(run(&a[..5], 3, None, 8, 2, 4), Err(KernelError::OutOfRange { what: "rows of A", .. })));
    assert!(matches!(run(&a, usize::MAX, None, 8, 2, 4), Err(KernelError::TooLarge { .. })));
    assert!(matches!(run(&a, 3, Some(&[0.0; 3]), 8, 2, 4), Err(KernelError::Shape { expected: 4, got: 3, .. })));
    assert!(matches!(run(&a, 3, None, 7, 2, 4), Err(KernelError::OutOfRange { what: "rows of C", .. })));
    assert!(matches!(run(&a, 3, None, 8, 2, 3), Err(KernelError::Overlap { .. })));
    assert!(matches!(run(&a, 3, None, 8, 1, 4), Err(KernelError::Shape { .. })));
    let mut c = [0.0; 8];
    let part = Part { k: 0..4, n: 0..4 };
    assert!(matmul_part(&ctx(isa, 1), rows(&a, 2, 3), &packed, part, None, rows_mut(&mut c, 2, 4)).is_err());
}

#[test]
fn callers_that_compute_at_the_same_time_get_their_own_bits() {
    let [m, k, n] = [50, 200, 90];
    std::thread::scope(|scope| {
        for caller in 0..4 {
            scope.spawn(move || {
                let mut random = Random(caller);
                let (a, w) = (random.floats(m * k), random.floats(k * n));
                let wanted = naive([m, k, n], &a, &w, None);
                for isa in Isa::available() {
                    let packed = pack(isa, &w, k, n);
                    for threads in THREADS {
                        let mut c = vec![0.0; m * n];
                        matmul(&ctx(isa, threads), rows(&a, m, k), &packed, None, rows_mut(&mut c, m, n)).unwrap();
                        assert!(same_bits(&c, &wanted), "caller {caller} {isa:?} threads {threads}");
                    }
                }
            });
        }
    });
}

/// An epilogue as separate steps: bias and chain, times alpha, plus beta · onto in one rounding, then the function.
#[test]
fn an_epilogue_has_the_bits_of_its_steps() {
    let mut random = Random(31);
    let functions = [Function::GeluTanh, Function::GeluErf, Function::Silu, Function::Relu].map(Some);
    for (m, k, n) in [(1, 7, 33), (5, 1, 8), (13, 65, 130), (70, 40, 300), (0, 3, 4), (3, 0, 5), (2, 9000, 40)] {
        let (x, w, bias) = (mixed(&mut random, m * k), random.floats(k * n), random.floats(n));
        let onto = mixed(&mut random, m * n);
        for (alpha, beta) in [(1.0, 0.0), (1.0, 1.0), (0.3, -1.7), (-2.5, 0.0), (0.0, 1.0)] {
            for function in functions.into_iter().chain([None]) {
                let portable = ctx(Isa::Portable, 1);
                let mut wanted = naive([m, k, n], &x, &w, Some(&bias));
                for (value, onto) in wanted.iter_mut().zip(&onto) {
                    *value *= alpha;
                    *value = if beta == 0.0 { *value } else { f32::mul_add(beta, *onto, *value) };
                }
                if let Some(function) = function {
                    let before = wanted.clone();
                    activation(&portable, function, &before, &mut wanted).unwrap();
                }
                for isa in Isa::available() {
                    let packed = pack(isa, &w, k, n);
                    for threads in THREADS {
                        let then = Linear { bias: Some(&bias), alpha, beta, onto: Some(&onto), function };
                        let got = filled(m * n, |out| linear(&ctx(isa, threads), &x, m, &packed, then, out).unwrap());
                        assert!(same_bits(&got, &wanted), "{isa:?} {threads} {alpha} {beta} {function:?}");
                    }
                }
            }
        }
    }
}

/// The chain's n roundings, one of the bias, one of alpha, one of the fused step, against exact arithmetic.
#[test]
fn alpha_and_beta_stay_within_their_roundings() {
    let (m, k, n, u) = (7, 333, 29, 2f64.powi(-24));
    let mut random = Random(32);
    let (x, w, bias, onto) = (random.floats(m * k), random.floats(k * n), random.floats(n), random.floats(m * n));
    let (alpha, beta) = (0.37f32, -1.31f32);
    for isa in Isa::available() {
        let then = Linear { bias: Some(&bias), alpha, beta, onto: Some(&onto), function: None };
        let got = filled(m * n, |out| linear(&ctx(isa, 2), &x, m, &pack(isa, &w, k, n), then, out).unwrap());
        for (at, got) in got.iter().enumerate() {
            let terms = (0..k).map(|i| f64::from(x[at / n * k + i]) * f64::from(w[i * n + at % n]));
            let start = (f64::from(bias[at % n]), f64::from(bias[at % n]).abs());
            let (exact, absolute) = terms.fold(start, |(sum, abs), term| (sum + term, abs + term.abs()));
            let added = f64::from(beta) * f64::from(onto[at]);
            let (exact, absolute) = (f64::from(alpha) * exact + added, f64::from(alpha).abs() * absolute + added.abs());
            assert!((f64::from(*got) - exact).abs() <= (k + 3) as f64 * u * absolute);
        }
    }
}

#[test]
fn with_beta_zero_what_stands_there_is_never_read() {
    for isa in Isa::available() {
        let packed = pack(isa, &[2.0, 3.0], 1, 2);
        let then = Linear { beta: 0.0, onto: Some(&[f32::NAN; 2]), ..Linear::default() };
        let got = filled(2, |out| linear(&ctx(isa, 1), &[1.0], 1, &packed, then, out).unwrap());
        assert!(same_bits(&got, &[2.0, 3.0]));
        let short = Linear { beta: 1.0, onto: Some(&[0.0]), ..Linear::default() };
        let refused = linear(&ctx(isa, 1), &[1.0], 1, &packed, short, &mut [0.0; 2]);
        assert!(matches!(refused, Err(KernelError::Shape { what: "onto of linear", expected: 2, got: 1 })));
    }
}
