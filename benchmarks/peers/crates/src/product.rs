use gemmkit::{MatMut, MatRef, PackedRhs};

use crate::data::data;

/// C[m, n] = A[m, k] · W[k, n], all row by row; C column by column where gemmkit has W packed before, as it demands.
pub struct Product {
    sizes: [usize; 3],
    a: Vec<f32>,
    w: Vec<f32>,
    c: Vec<f32>,
    by: By,
}

enum By {
    Gemm(gemm::Parallelism),
    MatrixMultiply,
    Gemmkit { threads: gemmkit::Parallelism, packed: Option<PackedRhs<f32>> },
}

/// What the crates are, as the lock file holds them.
pub fn version(library: &str) -> Option<&'static str> {
    let lock = include_str!("../Cargo.lock");
    let name = if library == "gemmkit-packing" { "gemmkit" } else { library };
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

impl Product {
    pub fn new(library: &str, threads: usize, [m, k, n]: [usize; 3]) -> Option<Self> {
        let w = data(k * n, 2);
        let by = match library {
            "gemm" if threads == 1 => By::Gemm(gemm::Parallelism::None),
            "gemm" => By::Gemm(gemm::Parallelism::Rayon(threads)),
            "matrixmultiply" => By::MatrixMultiply,
            "gemmkit" | "gemmkit-packing" => By::Gemmkit {
                threads: if threads == 1 { gemmkit::Parallelism::Serial } else { gemmkit::Parallelism::Rayon(threads) },
                // Of one row it is faster on weights as they are: three times where this was measured.
                packed: (library == "gemmkit" && m > 1).then(|| gemmkit::prepack_rhs(MatRef::from_row_major(&w, k, n))),
            },
            _ => return None,
        };
        Some(Self { sizes: [m, k, n], a: data(m * k, 1), w, c: vec![0.0; m * n], by })
    }

    /// Which function it is, and in which layout.
    pub fn call(&self) -> &'static str {
        match self.by {
            By::Gemm(_) => "gemm::gemm",
            By::MatrixMultiply => "matrixmultiply::sgemm",
            By::Gemmkit { packed: Some(_), .. } => "gemmkit::gemm_packed_b",
            By::Gemmkit { packed: None, .. } => "gemmkit::gemm",
        }
    }

    pub fn run(&mut self) {
        let Self { sizes: [m, k, n], a, w, c, by } = self;
        let (m, k, n) = (*m, *k, *n);
        match by {
            // SAFETY: the vectors hold m·n, m·k and k·n entries, row by row, and `c` overlaps neither of the others.
            By::Gemm(threads) => unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    n as isize,
                    false,
                    a.as_ptr(),
                    1,
                    k as isize,
                    w.as_ptr(),
                    1,
                    n as isize,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    *threads,
                )
            },
            // SAFETY: as above. The number of threads comes from MATMUL_NUM_THREADS.
            By::MatrixMultiply => unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a.as_ptr(),
                    k as isize,
                    1,
                    w.as_ptr(),
                    n as isize,
                    1,
                    0.0,
                    c.as_mut_ptr(),
                    n as isize,
                    1,
                )
            },
            By::Gemmkit { threads, packed } => {
                let a = MatRef::from_row_major(a, m, k);
                match packed {
                    Some(packed) => {
                        gemmkit::gemm_packed_b(1.0, a, packed, 0.0, MatMut::from_col_major(c, m, n), *threads)
                    }
                    None => {
                        let w = MatRef::from_row_major(w, k, n);
                        gemmkit::gemm(1.0, a, w, 0.0, MatMut::from_row_major(c, m, n), *threads)
                    }
                }
            }
        }
    }

    pub fn row(&self, row: usize) -> Vec<f32> {
        let [m, _, n] = self.sizes;
        match self.by {
            By::Gemmkit { packed: Some(_), .. } => self.c.iter().skip(row).step_by(m).copied().collect(),
            _ => self.c[row * n..(row + 1) * n].to_vec(),
        }
    }
}

#[cfg(test)]
#[test]
fn every_crate_computes_the_same_product() {
    let sizes = [3, 5, 70];
    let (a, w) = (data(15, 1), data(350, 2));
    for library in ["gemm", "matrixmultiply", "gemmkit", "gemmkit-packing"] {
        let mut product = Product::new(library, 1, sizes).unwrap();
        product.run();
        for row in 0..3 {
            for (column, got) in product.row(row).iter().enumerate() {
                let wanted: f64 = (0..5).map(|at| a[row * 5 + at] as f64 * w[at * 70 + column] as f64).sum();
                assert!((*got as f64 - wanted).abs() < 1e-6, "{library} at {row}, {column}: {got} for {wanted}");
            }
        }
        assert!(version(library).is_some(), "{library} has a version");
    }
}
