mod support;

use std::sync::atomic::AtomicBool;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::gemm::Context;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::*;
use support::*;

/// Around the sizes of microtiles and tiles, and rows beyond one stretch.
const COLUMNS: [usize; 9] = [0, 1, 7, 16, 17, 95, 96, 97, 200];
const ROWS: [usize; 6] = [0, 1, 2, 255, 257, 700];

fn bits(of: &[f64]) -> Vec<u64> {
    of.iter().map(|x| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// The definition: one chain an entry.
fn plain_gram(x: &[f32], y: &[f32], [n, p, q]: [usize; 3], before: Option<&[f64]>) -> Vec<f64> {
    let chain = |i: usize, j: usize| {
        let from = before.map_or(0.0, |before| before[i * q + j]);
        (0..n).fold(from, |sum, row| sum + f64::from(x[row * p + i]) * f64::from(y[row * q + j]))
    };
    (0..p * q).map(|at| chain(at / q, at % q)).collect()
}

fn every_path(size: usize, run: impl Fn(&Context<'_>, &mut [f64])) -> Vec<f64> {
    let result = |isa, threads| {
        let mut out = vec![f64::NAN; size];
        run(&ctx(isa, threads), &mut out);
        out
    };
    let first = result(Isa::Portable, 1);
    for isa in Isa::available() {
        for threads in THREADS {
            assert_eq!(bits(&result(isa, threads)), bits(&first), "{isa:?}, {threads} threads");
        }
    }
    first
}

#[test]
fn a_gram_is_one_chain_over_rows_on_every_path() {
    let mut random = Random(31);
    for (at, &p) in COLUMNS.iter().enumerate() {
        let n = ROWS[at % ROWS.len()];
        let q = COLUMNS[(at * 4 + 3) % COLUMNS.len()];
        let (x, y) = (random.floats(n * p), random.floats(n * q));
        let before: Vec<f64> = (0..p * q).map(|_| f64::from(random.float()) / 3.0).collect();
        for before in [None, Some(before.as_slice())] {
            let got = every_path(p * q, |ctx, out| gram(ctx, &x, Some(&y), [n, p, q], before, out).unwrap());
            assert_eq!(bits(&got), bits(&plain_gram(&x, &y, [n, p, q], before)), "{n} × {p}, {q}");
        }
        let own = every_path(p * p, |ctx, out| gram(ctx, &x, None, [n, p, 0], None, out).unwrap());
        assert_eq!(bits(&own), bits(&plain_gram(&x, &x, [n, p, p], None)), "{n} × {p}");
    }
}

#[test]
fn a_gram_of_rows_in_parts_has_the_bits_of_the_whole() {
    let mut random = Random(32);
    let (n, p, q) = (611, 130, 33);
    let (x, y) = (random.floats(n * p), random.floats(n * q));
    for pair in [None, Some(&y)] {
        let width = if pair.is_some() { q } else { p };
        let run = |rows: std::ops::Range<usize>, before: Option<&[f64]>| {
            let part = |of: &[f32], width: usize| of[rows.start * width..rows.end * width].to_vec();
            let (x, y) = (part(&x, p), pair.map(|y| part(y, q)));
            let mut out = vec![f64::NAN; p * width];
            gram(&ctx(Isa::Portable, 2), &x, y.as_deref(), [rows.len(), p, q], before, &mut out).unwrap();
            out
        };
        let whole = run(0..n, None);
        for cuts in [vec![0, n], vec![1, 2, 300], vec![256, 256, 610], (0..n).step_by(7).collect::<Vec<_>>()] {
            let mut ends = cuts.clone();
            ends.push(n);
            let (mut from, mut sum): (usize, Option<Vec<f64>>) = (0, None);
            for end in ends {
                sum = Some(run(from..end, sum.as_deref()));
                from = end;
            }
            assert_eq!(bits(&sum.unwrap()), bits(&whole), "{cuts:?}");
        }
    }
}

#[test]
fn a_gram_takes_special_numbers_as_they_come() {
    let mut random = Random(33);
    let (n, p) = (40, 50);
    let x = mixed(&mut random, n * p);
    let got = every_path(p * p, |ctx, out| gram(ctx, &x, None, [n, p, 0], None, out).unwrap());
    assert_eq!(bits(&got), bits(&plain_gram(&x, &x, [n, p, p], None)));
    let tiny = f32::from_bits(1);
    let subnormal = every_path(1, |ctx, out| gram(ctx, &[tiny], None, [1, 1, 0], None, out).unwrap());
    assert_eq!(subnormal, [2f64.powi(-298)]);
}

/// Correlations by the definition, `None` where one of both has none.
fn plain_correlations(a: &[f32], b: &[f32], [n, p, q]: [usize; 3]) -> Vec<Option<f64>> {
    let unit = |x: &[f32], width: usize, column: usize| -> Option<Vec<f64>> {
        let entries: Vec<f64> = (0..n).map(|row| f64::from(x[row * width + column])).collect();
        if entries.iter().all(|x| Some(x) == entries.first()) || !entries.iter().all(|x| x.is_finite()) {
            return None;
        }
        let mean = entries.iter().sum::<f64>() / n as f64;
        let apart: Vec<f64> = entries.iter().map(|x| x - mean).collect();
        let length = apart.iter().map(|x| x * x).sum::<f64>().sqrt();
        Some(apart.iter().map(|x| x / length).collect())
    };
    let own: Vec<_> = (0..p).map(|i| unit(a, p, i)).collect();
    let others: Vec<_> = (0..q).map(|j| unit(b, q, j)).collect();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    (0..p * q).map(|at| Some(dot(own[at / q].as_deref()?, others[at % q].as_deref()?))).collect()
}

fn correlated(ctx: &Context<'_>, a: &[f32], b: &[f32], size: [usize; 3], with: Correlate<'_>) -> (Vec<f32>, Vec<i32>) {
    let length = size[1] * with.k;
    let (mut values, mut indices) = (vec![f32::NAN; length], vec![77; length]);
    let to = CorrelateOut { values: &mut values, indices: &mut indices };
    correlate_top_k(ctx, a, b, size, with, to).unwrap();
    (values, indices)
}

#[test]
fn partners_are_the_largest_correlations_on_every_path() {
    let mut random = Random(34);
    for (n, p, q, k) in
        [(5, 3, 4, 2), (64, 97, 200, 5), (300, 1, 17, 20), (700, 130, 95, 1), (2, 3, 3, 3), (1, 2, 2, 1)]
    {
        let mut a = random.floats(n * p);
        let mut b: Vec<f32> = (0..n * q).map(|at| 1e3 + a[at / q * p + at % q % p] + random.float()).collect();
        // A constant column, one with a NaN, one with an infinity, and two that are equal.
        for row in 0..n {
            b[row * q] = 0.1;
            if q > 16 {
                b[row * q + 15] = b[row * q + 16];
            }
        }
        b[q - 1] = f32::NAN;
        a[p - 1] = f32::INFINITY;
        let truth = plain_correlations(&a, &b, [n, p, q]);
        for absolute in [false, true] {
            let with = Correlate { k, absolute, first: 10, before: None };
            let (values, indices) = correlated(&ctx(Isa::Portable, 1), &a, &b, [n, p, q], with);
            for isa in Isa::available() {
                for threads in THREADS {
                    let again = correlated(&ctx(isa, threads), &a, &b, [n, p, q], with);
                    assert!(same_bits(&again.0, &values) && again.1 == indices, "{isa:?}, {threads} threads");
                }
            }
            let size = |r: f64| if absolute { r.abs() } else { r };
            for column in 0..p {
                let all = &truth[column * q..(column + 1) * q];
                let defined = all.iter().flatten().count().min(k);
                let (values, indices) = (&values[column * k..][..k], &indices[column * k..][..k]);
                for at in 0..k {
                    if at >= defined {
                        assert_eq!((values[at], indices[at]), (0.0, -1));
                        continue;
                    }
                    let index = indices[at] as usize - 10;
                    let r = all[index].expect("a partner has a correlation");
                    assert!((f64::from(values[at]) - r).abs() <= 4.0 * 2f64.powi(-24), "{} for {r}", values[at]);
                    assert!(at == 0 || size(values[at - 1].into()) >= size(values[at].into()));
                    if at > 0 && values[at - 1] == values[at] {
                        assert!(indices[at - 1] < indices[at], "ties are by index");
                    }
                }
                if defined > 0 {
                    let last = size(f64::from(values[defined - 1]));
                    let left_out = (0..q).filter(|j| !indices.contains(&(*j as i32 + 10)));
                    for r in left_out.filter_map(|j| all[j]) {
                        assert!(size(r) <= last + 4.0 * 2f64.powi(-24), "{r} was left out, {last} was kept");
                    }
                }
            }
        }
    }
}

#[test]
fn partners_found_part_by_part_have_the_bits_of_the_whole() {
    let mut random = Random(35);
    let (n, p, q, k) = (90, 99, 210, 7);
    let a = random.floats(n * p);
    // Columns that repeat, so that ties lie across the cuts.
    let half: Vec<f32> = random.floats(n * q / 2);
    let b: Vec<f32> = (0..n * q).map(|at| half[at / q * (q / 2) + at % q % (q / 2)]).collect();
    for absolute in [false, true] {
        let with = Correlate { k, absolute, first: 0, before: None };
        let whole = correlated(&ctx(Isa::Portable, 2), &a, &b, [n, p, q], with);
        for cuts in [vec![1, 105, q], vec![96, 97, q], vec![0, q]] {
            let mut parts: Vec<_> = std::iter::once(0).chain(cuts.clone()).collect::<Vec<_>>();
            parts.dedup();
            let mut ranges: Vec<_> = parts.windows(2).map(|ends| ends[0]..ends[1]).collect();
            for _ in 0..2 {
                let mut found: Option<(Vec<f32>, Vec<i32>)> = None;
                for range in &ranges {
                    let part: Vec<f32> = (0..n).flat_map(|row| b[row * q..][range.clone()].to_vec()).collect();
                    let before = found.as_ref().map(|(values, indices)| (values.as_slice(), indices.as_slice()));
                    let with = Correlate { first: range.start, before, ..with };
                    found = Some(correlated(&ctx(Isa::Portable, 2), &a, &part, [n, p, range.len()], with));
                }
                let found = found.unwrap();
                assert!(same_bits(&found.0, &whole.0) && found.1 == whole.1, "{ranges:?}");
                // The order of the parts does not matter either.
                ranges.reverse();
            }
        }
    }
}

#[test]
fn a_column_is_its_own_partner_whatever_its_size_and_mean() {
    let mut random = Random(36);
    let (n, p) = (50, 4);
    for (size, mean) in [(1.0, 0.0), (1e-45, 0.0), (1e38, 0.0), (1.0, 1e6), (1e-3, -3e4)] {
        let a: Vec<f32> = random.floats(n * p).iter().map(|x| x * size * 2.0 + mean).collect();
        let with = Correlate { k: 1, absolute: false, first: 0, before: None };
        let (values, indices) = correlated(&ctx(Isa::Portable, 1), &a, &a, [n, p, p], with);
        assert_eq!(indices, [0, 1, 2, 3]);
        assert!(values.iter().all(|r| (f64::from(*r) - 1.0).abs() <= 4.0 * 2f64.powi(-24)), "{values:?}");
    }
}

#[test]
fn sizes_that_do_not_agree_are_errors_and_a_raised_flag_stops() {
    let mut out = [0.0; 4];
    let plain = ctx(Isa::Portable, 1);
    assert!(matches!(gram(&plain, &[1.0; 5], None, [3, 2, 0], None, &mut out), Err(KernelError::Shape { .. })));
    assert!(matches!(gram(&plain, &[1.0; 6], None, [3, 2, 0], Some(&[0.0]), &mut out), Err(KernelError::Shape { .. })));
    assert!(gram(&plain, &[1.0; 6], None, [3, 2, 0], None, &mut out[..3]).is_err());
    let with = Correlate { k: 1, absolute: true, first: i32::MAX as usize, before: None };
    let (mut values, mut indices) = ([0.0; 2], [0; 2]);
    let to = CorrelateOut { values: &mut values, indices: &mut indices };
    let error = correlate_top_k(&plain, &[1.0; 6], &[1.0; 6], [3, 2, 2], with, to);
    assert!(matches!(error, Err(KernelError::OutOfRange { .. })));
    let stop = AtomicBool::new(true);
    let stopped = Context { cancel: Some(&stop), ..plain };
    assert_eq!(gram(&stopped, &[1.0; 6], None, [3, 2, 0], None, &mut out), Err(KernelError::Cancelled));
    let with = Correlate { k: 1, absolute: true, first: 0, before: None };
    let to = CorrelateOut { values: &mut values, indices: &mut indices };
    assert_eq!(correlate_top_k(&stopped, &[1.0; 6], &[1.0; 6], [3, 2, 2], with, to), Err(KernelError::Cancelled));
}
