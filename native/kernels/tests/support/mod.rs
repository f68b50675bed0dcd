//! The oracle: one chain of `mul_add` per element, and data that makes chains differ when they are not that.
#![allow(dead_code)]

use circuitscope_kernels::gemm::{Context, Rows, RowsMut};
use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{Heads, Reach};
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};

pub const THREADS: [usize; 4] = [1, 2, 3, 7];
pub const SIZES: [usize; 7] = [0, 1, 7, 8, 63, 64, 65];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// In [-1, 1), with 24 random bits, so that every product and sum rounds.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }
}

pub fn ctx(isa: Isa, threads: usize) -> Context<'static> {
    Context { isa, threads, cancel: None }
}

pub fn rows(data: &[f32], rows: usize, step: usize) -> Rows<'_> {
    Rows { data, rows, step }
}

pub fn rows_mut(data: &mut [f32], rows: usize, step: usize) -> RowsMut<'_> {
    RowsMut { data, rows, step }
}

pub fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Row-major `[k, n]` of f32.
pub fn pack(isa: Isa, w: &[f32], k: usize, n: usize) -> PackedMatrix {
    let bytes = bytes(w);
    PackedMatrix::pack(isa, MatrixSource { bytes: &bytes, dtype: Dtype::F32, offset: 0, k, n, sk: n, sn: 1 }).unwrap()
}

/// `[m, k]` times `[k, n]`, both dense.
pub fn naive([m, k, n]: [usize; 3], a: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let mut c = Vec::with_capacity(m * n);
    for r in 0..m {
        for j in 0..n {
            let sum = (0..k).fold(0f32, |sum, i| a[r * k + i].mul_add(w[i * n + j], sum));
            c.push(bias.map_or(sum, |bias| sum + bias[j]));
        }
    }
    c
}

/// Equal to the bit; a NaN equals a NaN, as payloads are not promised.
pub fn same_bits(got: &[f32], wanted: &[f32]) -> bool {
    let equal = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    got.len() == wanted.len() && got.iter().zip(wanted).all(equal)
}

/// The result on every instruction set and thread count, which must be one and the same.
pub fn agree(run: impl Fn(&Context<'_>) -> Vec<f32>) -> Vec<f32> {
    let first = run(&ctx(Isa::Portable, 1));
    for isa in Isa::available() {
        for threads in THREADS {
            assert!(same_bits(&run(&ctx(isa, threads)), &first), "{isa:?}, {threads} threads");
        }
    }
    first
}

/// Numbers among which stand the special ones.
pub fn mixed(random: &mut Random, len: usize) -> Vec<f32> {
    let special =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, f32::MAX];
    (0..len)
        .map(|_| if random.below(9) == 0 { special[random.below(special.len())] } else { random.float() * 3.0 })
        .collect()
}

pub fn filled(len: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut out = vec![f32::NAN; len];
    fill(&mut out);
    out
}

/// The fixed tree, entry by entry.
pub fn tree(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    let mut lanes = [0f32; 32];
    for (i, (a, b)) in terms.enumerate() {
        lanes[i % 32] = a.mul_add(b, lanes[i % 32]);
    }
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// Both ways, causal, and with windows narrower and wider than a block of queries, or than one query.
pub fn reaches() -> impl Iterator<Item = Reach> {
    let windows = [0, 1, 5, 64, 90];
    [false, true].into_iter().flat_map(move |causal| windows.map(|window| Reach { causal, window }))
}

/// The definition: how far a key lies before the place of a query.
pub fn reads(reach: Reach, heads: Heads, query: usize, key: usize) -> bool {
    let distance = (query + heads.keys) as isize - (heads.pos + key) as isize;
    let window = if reach.window == 0 { isize::MAX } else { reach.window as isize };
    !(reach.causal && distance < 0) && distance.abs() < window
}
