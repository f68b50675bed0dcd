mod support;

use circuitscope_kernels::bmm::{Batch, BatchMut, Sizes, View, Zeros, bmm, product};
use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::isa::Isa;
use support::*;

/// Element by element, straight from the strides.
fn oracle([outer, inner]: [usize; 2], s: Sizes, a: Batch<'_>, b: Batch<'_>, c: &mut BatchMut<'_>, zeros: Zeros) {
    for o in 0..outer {
        for i in 0..inner {
            let start = |x: &Batch<'_>| o * x.batch[0] + i / x.share * x.batch[1];
            for r in 0..s.m {
                for j in 0..s.n {
                    let mut sum = 0f32;
                    for k in 0..s.k {
                        let x = a.data[start(&a) + r * a.row + k * a.column];
                        if !(zeros == Zeros::Skip && x == 0.0) {
                            sum = x.mul_add(b.data[start(&b) + k * b.row + j * b.column], sum);
                        }
                    }
                    c.data[o * c.batch[0] + i * c.batch[1] + r * c.row + j] = sum;
                }
            }
        }
    }
}

#[test]
fn scores_and_mixes_of_grouped_heads_are_the_chains() {
    let mut random = Random(1);
    for _ in 0..30 {
        let (rows, pos, kv, share, d) =
            (1 + random.below(3), 1 + random.below(70), 1 + random.below(3), 1 + random.below(3), 1 + random.below(40));
        let heads = kv * share;
        let (q, kv_data) = (random.floats(rows * pos * heads * d), random.floats(rows * pos * kv * d));
        // q [R, P, H, d] · k [R, P, Hkv, d] over d.
        let queries = Batch { data: &q, batch: [pos * heads * d, d], share: 1, row: heads * d, column: 1 };
        let keys = Batch { data: &kv_data, batch: [pos * kv * d, d], share, row: 1, column: kv * d };
        let sizes = Sizes { m: pos, n: pos, k: d };
        let batch = [rows, heads];
        let mut wanted = vec![0.0; rows * heads * pos * pos];
        fn output(data: &mut [f32], batch: [usize; 2], row: usize) -> BatchMut<'_> {
            BatchMut { data, batch, row }
        }
        let (scores, z) = ([heads * pos * pos, pos * pos], [pos * heads * d, d]);
        oracle(batch, sizes, queries, keys, &mut output(&mut wanted, scores, pos), Zeros::Multiply);
        let pattern = wanted.clone();

        // pattern [R, H, P, P] · v [R, P, Hkv, d] over keys, into z [R, P, H, d].
        let weights = Batch { data: &pattern, batch: [heads * pos * pos, pos * pos], share: 1, row: pos, column: 1 };
        let values = Batch { data: &kv_data, batch: [pos * kv * d, d], share, row: kv * d, column: 1 };
        let mixes = Sizes { m: pos, n: d, k: pos };
        let mut wanted_z = vec![0.0; rows * pos * heads * d];
        oracle(batch, mixes, weights, values, &mut output(&mut wanted_z, z, heads * d), Zeros::Multiply);

        for isa in Isa::available() {
            for threads in THREADS {
                let mut got = vec![f32::NAN; wanted.len()];
                bmm(&ctx(isa, threads), batch, sizes, queries, keys, output(&mut got, scores, pos), Zeros::Multiply)
                    .unwrap();
                assert!(same_bits(&got, &wanted), "scores {isa:?} threads {threads}");
                let mut got = vec![f32::NAN; wanted_z.len()];
                bmm(&ctx(isa, threads), batch, mixes, weights, values, output(&mut got, z, heads * d), Zeros::Multiply)
                    .unwrap();
                assert!(same_bits(&got, &wanted_z), "mix {isa:?} threads {threads}");
            }
        }
    }
}

#[test]
fn a_long_product_is_cut_into_runs_of_rows_without_changing_it() {
    let (m, n, k) = (300, 75, 400);
    let mut random = Random(2);
    let (a, b) = (random.floats(m * k), random.floats(k * n));
    let wanted = naive([m, k, n], &a, &b, None);
    for isa in Isa::available() {
        for threads in THREADS {
            let mut c = vec![0.0; m * n];
            let a = Batch { data: &a, batch: [0, 0], share: 1, row: k, column: 1 };
            let b = Batch { data: &b, batch: [0, 0], share: 1, row: n, column: 1 };
            let out = BatchMut { data: &mut c, batch: [0, 0], row: n };
            bmm(&ctx(isa, threads), [1, 1], Sizes { m, n, k }, a, b, out, Zeros::Multiply).unwrap();
            assert!(same_bits(&c, &wanted), "{isa:?} threads {threads}");
        }
    }
}

#[test]
fn a_zero_weight_reads_nothing_when_zeros_are_skipped() {
    let mut random = Random(3);
    for round in 0..30 {
        // The last one is longer than any stretch of k.
        let most = if round < 29 { [40, 40, 40] } else { [14, 20, 4500] };
        let [m, n, k] = most.map(|most| if round < 29 { 1 + random.below(most) } else { most });
        // Causal: row r weighs keys up to r; what it may not see is NaN or infinite somewhere.
        let mut a = random.floats(m * k);
        for (index, x) in a.iter_mut().enumerate() {
            if index % k > index / k + k / m || index % 97 == 5 {
                *x = if index % 2 == 0 { 0.0 } else { -0.0 };
            }
        }
        let mut b = random.floats(k * n);
        b[random.below(k) * n] = f32::NAN;
        b[random.below(k) * n] = f32::INFINITY;
        let one = |data, row| Batch { data, batch: [0, 0], share: 1, row, column: 1 };
        let mut wanted = vec![0.0; m * n];
        let out = &mut BatchMut { data: &mut wanted, batch: [0, 0], row: n };
        oracle([1, 1], Sizes { m, n, k }, one(&a, k), one(&b, n), out, Zeros::Skip);
        for isa in Isa::available() {
            let mut c = vec![0.0; m * n];
            let (a, b) = (View { data: &a, row: k, column: 1 }, View { data: &b, row: n, column: 1 });
            product(&ctx(isa, 1), Sizes { m, n, k }, a, b, rows_mut(&mut c, m, n), Zeros::Skip).unwrap();
            assert!(same_bits(&c, &wanted), "{isa:?} {m} {n} {k}");
        }
    }
}

#[test]
fn empty_products_are_zero_or_nothing() {
    for isa in Isa::available() {
        let empty = Batch { data: &[], batch: [0, 0], share: 1, row: 0, column: 0 };
        let mut c = [3.0; 4];
        let out = BatchMut { data: &mut c, batch: [0, 0], row: 2 };
        bmm(&ctx(isa, 2), [1, 1], Sizes { m: 2, n: 2, k: 0 }, empty, empty, out, Zeros::Multiply).unwrap();
        assert_eq!(c, [0.0; 4]);
        for (batch, m, n) in [([0, usize::MAX], 2, 2), ([1, 1], 0, 5), ([usize::MAX, usize::MAX], 5, 0)] {
            let out = BatchMut { data: &mut c, batch: [usize::MAX, 9], row: 2 };
            assert!(bmm(&ctx(isa, 2), batch, Sizes { m, n, k: 0 }, empty, empty, out, Zeros::Skip).is_ok());
        }
    }
}

#[test]
fn views_that_reach_outside_or_results_that_overlap_are_errors() {
    let data = [1.0; 8];
    let sizes = Sizes { m: 2, n: 2, k: 2 };
    let good = Batch { data: &data, batch: [0, 4], share: 1, row: 2, column: 1 };
    let run = |a: Batch<'_>, batch: [usize; 2], row: usize| {
        let mut c = [0.0; 8];
        let out = BatchMut { data: &mut c, batch, row };
        bmm(&ctx(Isa::Portable, 1), [1, 2], sizes, a, good, out, Zeros::Multiply)
    };
    assert_eq!(run(good, [0, 4], 2), Ok(()));
    assert_eq!(run(good, [0, 2], 4), Ok(()));
    assert!(matches!(run(Batch { row: 3, ..good }, [0, 4], 2), Err(KernelError::OutOfRange { .. })));
    assert!(matches!(run(Batch { column: usize::MAX, ..good }, [0, 4], 2), Err(KernelError::TooLarge { .. })));
    assert!(matches!(run(Batch { share: 0, ..good }, [0, 4], 2), Err(KernelError::OutOfRange { .. })));
    assert!(matches!(run(good, [0, 5], 2), Err(KernelError::OutOfRange { .. })));
    for (batch, row) in [([0, 0], 2), ([0, 1], 2), ([0, 3], 2), ([0, 4], 1), ([0, 2], 2)] {
        assert!(matches!(run(good, batch, row), Err(KernelError::Overlap { .. })), "{batch:?} {row}");
    }
}

/// AB, AᵀB, ABᵀ and AᵀBᵀ, each dense and as a view with gaps, in a batch of batches.
#[test]
fn the_four_transposes_of_strided_views_are_the_chains() {
    let mut random = Random(9);
    for (outer, inner, m, n, k) in [(1, 1, 1, 1, 1), (2, 3, 7, 9, 5), (1, 2, 65, 33, 64), (3, 1, 13, 70, 40)] {
        for gap in [0, 3] {
            for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
                // Rows and columns as they lie in memory, and how many floats one matrix takes.
                let strides = |rows: usize, columns: usize, transposed: bool| match transposed {
                    false => (columns + gap, 1, rows * (columns + gap)),
                    true => (1, rows + gap, columns * (rows + gap)),
                };
                let (a_row, a_column, a_size) = strides(m, k, a_transposed);
                let (b_row, b_column, b_size) = strides(k, n, b_transposed);
                let (a_data, b_data) =
                    (mixed(&mut random, outer * inner * a_size), random.floats(outer * inner * b_size));
                let a =
                    Batch { data: &a_data, batch: [inner * a_size, a_size], share: 1, row: a_row, column: a_column };
                let b =
                    Batch { data: &b_data, batch: [inner * b_size, b_size], share: 1, row: b_row, column: b_column };
                let (sizes, c_row) = (Sizes { m, n, k }, n + gap);
                fn output(data: &mut [f32], [inner, m, row]: [usize; 3]) -> BatchMut<'_> {
                    BatchMut { data, batch: [inner * m * row, m * row], row }
                }
                let places = [inner, m, c_row];
                let untouched = vec![7.0; outer * inner * m * c_row];
                let mut wanted = untouched.clone();
                oracle([outer, inner], sizes, a, b, &mut output(&mut wanted, places), Zeros::Multiply);
                for isa in Isa::available() {
                    for threads in THREADS {
                        let mut got = untouched.clone();
                        bmm(&ctx(isa, threads), [outer, inner], sizes, a, b, output(&mut got, places), Zeros::Multiply)
                            .unwrap();
                        assert!(same_bits(&got, &wanted), "{isa:?} {threads} {a_transposed} {b_transposed} {gap}");
                    }
                }
            }
        }
    }
}
