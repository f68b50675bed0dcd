mod support;

use std::sync::atomic::AtomicBool;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::gemm::Context;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{IGNORED, STATISTICS, Unembedding, VocabOut, VocabRows, vocab_statistics};
use support::*;

const U: f64 = 1.0 / (1 << 24) as f64;

struct Case {
    rows: usize,
    width: usize,
    vocabulary: usize,
    k: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    ids: Vec<i32>,
    reference: Vec<f32>,
    cap: Option<f32>,
}

impl Case {
    fn new(seed: u64, [rows, width, vocabulary, k]: [usize; 4], references: usize, cap: Option<f32>) -> Case {
        let random = &mut Random(seed);
        let id = |random: &mut Random| {
            if vocabulary == 0 || random.below(5) == 0 { IGNORED } else { random.below(vocabulary) as i32 }
        };
        Case {
            rows,
            width,
            vocabulary,
            k,
            x: random.floats(rows * width),
            w: random.floats(width * vocabulary).iter().map(|w| 4.0 * w).collect(),
            bias: random.floats(vocabulary),
            ids: (0..rows).map(|_| id(random)).collect(),
            reference: random.floats(references * width),
            cap,
        }
    }

    /// Statistics, values and indices, one after the other.
    fn run(&self, ctx: &Context<'_>) -> Vec<f32> {
        let packed = pack(ctx.isa, &self.w, self.width, self.vocabulary);
        let (mut statistics, mut values) = (vec![9.0; self.rows * STATISTICS], vec![9.0; self.rows * self.k]);
        let mut indices = vec![9; self.rows * self.k];
        let unembedding = Unembedding { w: &packed, bias: Some(&self.bias), cap: self.cap };
        let reference = Some(&self.reference[..]).filter(|reference| !reference.is_empty());
        let rows = VocabRows { x: &self.x, ids: Some(&self.ids), reference };
        let out = VocabOut {
            statistics: Some(&mut statistics),
            k: self.k,
            values: Some(&mut values),
            indices: Some(&mut indices),
        };
        vocab_statistics(ctx, unembedding, rows, out).unwrap();
        statistics.into_iter().chain(values).chain(indices.into_iter().map(|id| id as f32)).collect()
    }

    /// The chains, from which everything else follows.
    fn logits(&self, x: &[f32]) -> Vec<f32> {
        let logits = naive([x.len() / self.width, self.width, self.vocabulary], x, &self.w, Some(&self.bias));
        let Some(cap) = self.cap else { return logits };
        let mut out = vec![0.0; logits.len()];
        circuitscope_kernels::ops::soft_cap(&ctx(Isa::Portable, 1), &logits, cap, &mut out).unwrap();
        out
    }
}

/// log Σ exp, the probabilities' logarithms, the entropy, and Σp|l − max|, in f64.
fn distribution(row: &[f32]) -> (f64, Vec<f64>, f64, f64) {
    let max = row.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(f64::from(x)));
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - max).exp()).sum();
    let log_p: Vec<f64> = row.iter().map(|&x| f64::from(x) - max - sum.ln()).collect();
    let entropy = log_p.iter().map(|l| if *l == f64::NEG_INFINITY { 0.0 } else { -l.exp() * l }).sum();
    let spread = row.iter().map(|&x| f64::from(x) - max).map(|d| if d.is_finite() { -d * d.exp() / sum } else { 0.0 });
    (max + sum.ln(), log_p, entropy, spread.sum())
}

fn comes_before(a: (usize, f32), b: (usize, f32)) -> bool {
    match (a.1.is_nan(), b.1.is_nan()) {
        (true, true) => a.0 < b.0,
        (nan, other) if nan != other => nan,
        _ => a.1 > b.1 || (a.1 == b.1 && a.0 < b.0),
    }
}

#[test]
fn statistics_of_a_vocabulary_are_those_of_its_distribution_and_equal_everywhere() {
    for (seed, sizes, references, cap) in [
        (1, [1, 8, 7, 3], 1, None),
        (2, [3, 16, 1024, 5], 3, None),
        (3, [70, 7, 1025, 2], 35, Some(3.0)),
        (4, [66, 12, 3100, 64], 66, None),
        (5, [4, 33, 2049, 0], 2, Some(30.0)),
        (6, [2, 5, 1, 4], 2, None),
        (7, [0, 3, 8, 2], 0, None),
        (8, [300, 5, 900, 3], 2, None),
        (9, [390, 8, 768, 1], 130, None),
        (10, [129, 4, 385, 2], 129, Some(2.0)),
    ] {
        let case = Case::new(seed, sizes, references, cap);
        let got = agree(|ctx| case.run(ctx));
        let (statistics, choice) = got.split_at(case.rows * STATISTICS);
        let (values, indices) = choice.split_at(case.rows * case.k);
        let (logits, others) = (case.logits(&case.x), case.logits(&case.reference));
        for r in 0..case.rows {
            let row = &logits[r * case.vocabulary..(r + 1) * case.vocabulary];
            let (lse, log_p, entropy, spread) = distribution(row);
            let s: Vec<f64> = statistics[r * STATISTICS..(r + 1) * STATISTICS].iter().map(|&x| f64::from(x)).collect();
            let allowed = |result: f64, spread: f64| U * (100.0 + 4.0 * spread * (1.0 + spread) + result.abs());
            assert!((s[0] - lse).abs() <= allowed(lse, spread), "log sum {} {lse}", s[0]);
            assert!((s[1] - entropy).abs() <= allowed(entropy, spread), "entropy {} {entropy}", s[1]);
            let mut order: Vec<usize> = (0..case.vocabulary).collect();
            order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap().then(a.cmp(&b)));
            match case.ids[r] {
                IGNORED => assert!(s[2].is_nan() && s[3].is_nan()),
                id => {
                    let wish = log_p[id as usize];
                    assert!((s[2] - wish).abs() <= allowed(4.0 * wish, spread), "log p {} {wish}", s[2]);
                    assert_eq!(s[3], order.iter().position(|&v| v == id as usize).unwrap() as f64);
                }
            }
            let other = &others[r % references * case.vocabulary..][..case.vocabulary];
            let (_, log_q, _, other_spread) = distribution(other);
            let divergence: f64 = log_q.iter().zip(&log_p).map(|(q, p)| q.exp() * (q - p)).sum();
            let reach = log_q.iter().zip(&log_p).map(|(q, p)| q.exp() * (q - p).abs()).sum::<f64>();
            let room = allowed(divergence, spread) + allowed(reach, other_spread) + 100.0 * U * reach;
            assert!((s[4] - divergence).abs() <= room, "divergence {} {divergence}", s[4]);
            for at in 0..case.k {
                let (value, index) = (values[r * case.k + at], indices[r * case.k + at]);
                match order.get(at) {
                    None => assert_eq!((value, index), (0.0, -1.0)),
                    Some(&id) => assert_eq!((value.to_bits(), index), (row[id].to_bits(), id as f32)),
                }
            }
        }
    }
}

#[test]
fn a_row_has_its_statistics_alone_and_in_company() {
    let case = Case::new(9, [67, 9, 2050, 3], 67, None);
    let whole = case.run(&ctx(Isa::Portable, 2));
    for r in [0, 31, 32, 66] {
        let alone = Case {
            rows: 1,
            x: case.x[r * 9..(r + 1) * 9].to_vec(),
            ids: vec![case.ids[r]],
            reference: case.reference[r * 9..(r + 1) * 9].to_vec(),
            w: case.w.clone(),
            bias: case.bias.clone(),
            ..case
        };
        for isa in Isa::available() {
            let got = alone.run(&ctx(isa, 3));
            assert!(same_bits(&got[..STATISTICS], &whole[r * STATISTICS..(r + 1) * STATISTICS]));
        }
    }
}

#[test]
fn special_logits_follow_the_order_and_leave_other_rows_alone() {
    // With x = 1 the bias is zero's company: logits are the weights, over two tiles.
    let mut random = Random(11);
    for (seed, share) in [(1u64, 3), (2, 40), (3, 2)] {
        let vocabulary = 1500;
        let mut case = Case::new(seed, [1, 1, vocabulary, 6], 1, None);
        case.x = vec![1.0];
        case.bias.fill(0.0);
        let specials = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MAX, f32::MIN];
        for w in &mut case.w {
            if random.below(share) == 0 {
                *w = specials[if seed == 3 { 2 } else { random.below(specials.len()) }];
            }
        }
        for id in [0, 1, 700, 1023, 1024, 1499] {
            case.ids = vec![id];
            let got = agree(|ctx| case.run(ctx));
            let row = case.logits(&case.x);
            let own = (id as usize, row[id as usize]);
            let rank = row.iter().copied().enumerate().filter(|&other| comes_before(other, own)).count();
            assert_eq!(got[3], rank as f32, "rank of {own:?}");
            let broken = row.iter().any(|x| x.is_nan() || *x == f32::INFINITY);
            assert_eq!(broken, got[0].is_nan());
            if !broken {
                let (lse, log_p, entropy, _) = distribution(&row);
                assert!((f64::from(got[0]) - lse).abs() < 1e-5 && (f64::from(got[1]) - entropy).abs() < 1e-5);
                let wish = log_p[id as usize];
                assert!(f64::from(got[2]) == wish || (f64::from(got[2]) - wish).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn nothing_but_minus_infinity_has_no_distribution_and_a_certain_row_no_entropy() {
    let mut case = Case::new(1, [1, 1, 1100, 1], 1, None);
    (case.x, case.ids, case.reference) = (vec![1.0], vec![3], vec![1.0]);
    case.bias.fill(0.0);
    case.w.fill(f32::NEG_INFINITY);
    let got = agree(|ctx| case.run(ctx));
    assert_eq!((got[0], got[3]), (f32::NEG_INFINITY, 3.0));
    assert!(got[1].is_nan() && got[2].is_nan() && got[4].is_nan());
    case.w[1050] = 7.0;
    let got = agree(|ctx| case.run(ctx));
    assert_eq!(got[..5], [7.0, 0.0, f32::NEG_INFINITY, 4.0, 0.0]);
    case.ids = vec![1050];
    assert_eq!(agree(|ctx| case.run(ctx))[..5], [7.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn equal_logits_are_as_uncertain_as_can_be_and_what_was_not_asked_for_is_nan() {
    let case = Case::new(1, [2, 4, 2500, 0], 0, None);
    let case = Case { x: vec![0.0; 8], bias: vec![5.0; 2500], ids: vec![2499, IGNORED], ..case };
    let got = agree(|ctx| case.run(ctx));
    let log = 2500f32.ln();
    assert!((got[0] - 5.0 - log).abs() < 1e-5 && (got[1] - log).abs() < 1e-5 && (got[2] + log).abs() < 1e-5);
    assert_eq!(got[3], 2499.0);
    assert!(got[4].is_nan() && got[7].is_nan() && got[8].is_nan());
}

#[test]
fn what_does_not_fit_is_refused_and_a_cancelled_call_says_so() {
    let case = Case::new(1, [2, 3, 9, 1], 2, None);
    let packed = pack(Isa::Portable, &case.w, 3, 9);
    let unembedding = Unembedding { w: &packed, bias: None, cap: None };
    let attempt = |ctx: &Context<'_>, x: &[f32], ids: &[i32], reference: Option<&[f32]>| {
        let mut statistics = [0.0; 2 * STATISTICS];
        let out = VocabOut { statistics: Some(&mut statistics), k: 0, values: None, indices: None };
        vocab_statistics(ctx, unembedding, VocabRows { x, ids: Some(ids), reference }, out)
    };
    let plain = ctx(Isa::Portable, 1);
    assert!(attempt(&plain, &case.x, &[0, 8], None).is_ok());
    assert!(matches!(attempt(&plain, &case.x, &[0, 9], None), Err(KernelError::OutOfRange { .. })));
    assert!(matches!(attempt(&plain, &case.x, &[0, -1], None), Err(KernelError::OutOfRange { .. })));
    assert!(matches!(attempt(&plain, &case.x[1..], &[0, 8], None), Err(KernelError::Shape { .. })));
    assert!(matches!(attempt(&plain, &case.x, &[0], None), Err(KernelError::Shape { .. })));
    assert!(matches!(attempt(&plain, &case.x, &[0, 8], Some(&[0.0; 9])), Err(KernelError::Shape { .. })));
    let cancelled = AtomicBool::new(true);
    let ctx = Context { cancel: Some(&cancelled), ..plain };
    assert!(matches!(attempt(&ctx, &case.x, &[0, 8], None), Err(KernelError::Cancelled)));
}
