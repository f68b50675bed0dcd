mod support;

use circuitscope_kernels::error::KernelError;
use circuitscope_kernels::gemm::{Context, matmul};
use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};
use support::*;

#[test]
fn every_layout_of_one_matrix_packs_to_the_same_product() {
    let (m, k, n) = (3, 37, 53);
    let mut random = Random(1);
    let (a, w) = (random.floats(m * k), random.floats(k * n));
    let wanted = naive([m, k, n], &a, &w, None);
    let at = |i: usize, j: usize| w[i * n + j];
    let row_major = w.clone();
    let transposed: Vec<f32> = (0..n).flat_map(|j| (0..k).map(move |i| at(i, j))).collect();
    // The middle third of a fused [k, 3n], as c_attn of GPT-2 holds queries, keys and values.
    let fused: Vec<f32> =
        (0..k).flat_map(|i| (0..3 * n).map(move |j| if j / n == 1 { at(i, j - n) } else { f32::NAN })).collect();
    let layouts = [(&row_major, 0, n, 1), (&transposed, 0, 1, k), (&fused, n, 3 * n, 1)];
    for isa in Isa::available() {
        for (data, offset, sk, sn) in layouts {
            // One byte in: a mapped file promises no alignment.
            let file: Vec<u8> = [0].into_iter().chain(bytes(data)).collect();
            let source = MatrixSource { bytes: &file[1..], dtype: Dtype::F32, offset, k, n, sk, sn };
            for threads in THREADS {
                let packed = PackedMatrix::pack_with(&ctx(isa, threads), source).unwrap();
                let mut c = vec![0.0; m * n];
                matmul(&ctx(isa, 1), rows(&a, m, k), &packed, None, rows_mut(&mut c, m, n)).unwrap();
                assert!(same_bits(&c, &wanted), "{isa:?} strides {sk} {sn}");
            }
        }
    }
}

#[test]
fn rows_columns_and_elements_read_back_as_stored() {
    let (k, n) = (19, 70);
    let w = Random(2).floats(k * n);
    for isa in Isa::available() {
        let packed = pack(isa, &w, k, n);
        let (mut column, mut row) = (vec![0.0; k], vec![0.0; n]);
        for j in 0..n {
            packed.gather_column(j, &mut column).unwrap();
            assert!((0..k).all(|i| column[i] == w[i * n + j] && packed.element(i, j) == Ok(column[i])));
        }
        for i in 0..k {
            packed.gather_row(i, &mut row).unwrap();
            assert_eq!(row, w[i * n..(i + 1) * n]);
        }
        assert!(packed.gather_column(n, &mut column).is_err() && packed.gather_row(k, &mut row).is_err());
        assert!(packed.gather_column(0, &mut row).is_err() && packed.element(k, 0).is_err());
    }
}

#[test]
fn a_source_that_reaches_past_its_bytes_is_an_error() {
    let bytes = vec![0; 4 * 12];
    let good = MatrixSource { bytes: &bytes, dtype: Dtype::F32, offset: 0, k: 3, n: 4, sk: 4, sn: 1 };
    let pack = |source| PackedMatrix::pack(Isa::Portable, source).map(|packed| packed.bytes());
    assert!(pack(good).is_ok());
    assert!(pack(MatrixSource { k: 0, offset: usize::MAX, ..good }).is_ok_and(|bytes| bytes == 0));
    for bad in [
        MatrixSource { offset: 1, ..good },
        MatrixSource { k: 4, ..good },
        MatrixSource { sk: 5, ..good },
        MatrixSource { sn: 2, ..good },
        MatrixSource { dtype: Dtype::F32, bytes: &bytes[..47], ..good },
    ] {
        assert!(matches!(pack(bad), Err(KernelError::OutOfRange { .. })), "{bad:?}");
    }
    for bad in [
        MatrixSource { sk: usize::MAX, ..good },
        MatrixSource { offset: usize::MAX, ..good },
        MatrixSource { sk: usize::MAX / 4, ..good },
        // Stride 0 makes any size lie inside the bytes; the panels would not lie inside the memory.
        MatrixSource { k: usize::MAX / 2, n: 4, sk: 0, sn: 0, ..good },
        MatrixSource { k: 1 << 40, n: 1 << 16, sk: 0, sn: 0, ..good },
    ] {
        assert!(matches!(pack(bad), Err(KernelError::TooLarge { .. })), "{bad:?}");
    }
}

#[test]
fn sixteen_bit_columns_widen_exactly() {
    let stored: [u16; 6] = [0x3c00, 0x0001, 0x7c00, 0xc000, 0x8000, 0x3555];
    let file: Vec<u8> = stored.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let source = MatrixSource { bytes: &file, dtype: Dtype::F16, offset: 0, k: 3, n: 2, sk: 2, sn: 1 };
    let packed = PackedMatrix::pack(Isa::Portable, source).unwrap();
    let mut column = [0.0; 3];
    packed.gather_column(0, &mut column).unwrap();
    assert!(same_bits(&column, &[1.0, f32::INFINITY, -0.0]));
    packed.gather_column(1, &mut column).unwrap();
    assert!(same_bits(&column, &[2f32.powi(-24), -2.0, 0.333_251_95]));
}

#[test]
fn packing_stops_when_cancelled() {
    let (flag, bytes) = (std::sync::atomic::AtomicBool::new(true), vec![0; 4 * 64 * 64]);
    let source = MatrixSource { bytes: &bytes, dtype: Dtype::F32, offset: 0, k: 64, n: 64, sk: 64, sn: 1 };
    let context = Context { isa: Isa::Portable, threads: 2, cancel: Some(&flag) };
    assert!(matches!(PackedMatrix::pack_with(&context, source), Err(KernelError::Cancelled)));
}
