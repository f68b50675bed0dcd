//! Tiles of AᵀB in float64 for columns of float32. A product of two float32 numbers is exact in float64, so a step of the
//! chain rounds once whether it is fused or not: all paths agree to the bit, and so does a plain loop in JavaScript.

use std::ops::Range;

use crate::error::KernelError;
use crate::gemm::Context;
use crate::isa::Isa;
use crate::scratch::with_doubles;

/// Columns of A, and of B, in one tile: a multiple of the rows and columns of every microkernel below.
pub(super) const TILE: usize = 96;
/// Rows packed at once: two such stretches and a tile of sums stay within 512 KB.
const ROWS: usize = 256;

/// Columns of a row-major matrix as the product sees them: each entry is `(x − mean) · factor`, rounded to float32 again,
/// or x itself where there is no scaling.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub data: &'a [f32],
    pub width: usize,
    pub scaling: Option<&'a [Scaling]>,
}

/// What turns a column into one of mean 0 and length 1; a column without direction has the factor 0.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Scaling {
    pub mean: f64,
    pub factor: f64,
}

impl Columns<'_> {
    /// Rows `rows` of the columns `columns` as `[panel][row][micro]`, zeros behind the last column.
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, micro: usize, to: &mut [f64]) {
        let count = rows.len();
        for (panel, from) in columns.clone().step_by(micro).enumerate() {
            let width = micro.min(columns.end - from);
            let panel = &mut to[panel * micro * count..][..micro * count];
            for (row, to) in rows.clone().zip(panel.chunks_exact_mut(micro)) {
                let x = &self.data[row * self.width + from..][..width];
                let (to, rest) = to.split_at_mut(width);
                match self.scaling {
                    None => to.iter_mut().zip(x).for_each(|(to, x)| *to = f64::from(*x)),
                    Some(scaling) => {
                        for ((to, x), by) in to.iter_mut().zip(x).zip(&scaling[from..from + width]) {
                            *to = f64::from(((f64::from(*x) - by.mean) * by.factor) as f32);
                        }
                    }
                }
                rest.fill(0.0);
            }
        }
    }
}

/// `sums[i · TILE + j] += Σ_row a[row, i] · b[row, j]`, row ascending; `sums` is a whole tile, of which the part outside both
/// ranges is scratch. With `upper`, entries below the diagonal of the tile may be left as they are.
pub(super) fn add_products(
    ctx: &Context<'_>,
    [a, b]: [(Columns<'_>, Range<usize>); 2],
    rows: usize,
    upper: bool,
    sums: &mut [f64],
) -> Result<(), KernelError> {
    let sums = &mut sums[..TILE * TILE];
    with_doubles(2 * TILE * ROWS, |packed| {
        let (left, right) = packed.split_at_mut(TILE * ROWS);
        for from in (0..rows).step_by(ROWS) {
            ctx.result()?;
            let rows = from..rows.min(from + ROWS);
            stretch(ctx.isa, [(a.0, &a.1), (b.0, &b.1)], rows, upper, [left, right], sums);
        }
        Ok(())
    })
    .ok_or(KernelError::TooLarge { what: "packed columns" })?
}

fn stretch(
    isa: Isa,
    of: [(Columns<'_>, &Range<usize>); 2],
    rows: Range<usize>,
    upper: bool,
    packed: [&mut [f64]; 2],
    sums: &mut [f64],
) {
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    match isa {
        // SAFETY: the assertion above has found the features that the function is compiled for.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(of, rows, upper, packed, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(of, rows, upper, packed, sums) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => tiles::<6, 8, true>(of, rows, upper, packed, sums),
        _ => tiles::<4, 4, false>(of, rows, upper, packed, sums),
    }
}

/// 12 accumulators of 4 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(
    of: [(Columns<'_>, &Range<usize>); 2],
    rows: Range<usize>,
    upper: bool,
    packed: [&mut [f64]; 2],
    sums: &mut [f64],
) {
    tiles::<6, 8, true>(of, rows, upper, packed, sums);
}

/// 24 accumulators of 8 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
fn avx512(
    of: [(Columns<'_>, &Range<usize>); 2],
    rows: Range<usize>,
    upper: bool,
    packed: [&mut [f64]; 2],
    sums: &mut [f64],
) {
    tiles::<12, 16, true>(of, rows, upper, packed, sums);
}

#[inline(always)]
fn tiles<const M: usize, const N: usize, const FUSED: bool>(
    [a, b]: [(Columns<'_>, &Range<usize>); 2],
    rows: Range<usize>,
    upper: bool,
    [left, right]: [&mut [f64]; 2],
    sums: &mut [f64],
) {
    let count = rows.len();
    a.0.pack(rows.clone(), a.1.clone(), M, left);
    b.0.pack(rows, b.1.clone(), N, right);
    for (j, right) in (0..b.1.len()).step_by(N).zip(right.chunks_exact(N * count)) {
        for (i, left) in (0..a.1.len()).step_by(M).zip(left.chunks_exact(M * count)) {
            if upper && i >= j + N {
                break;
            }
            micro::<M, N, FUSED>(left, right, &mut sums[i * TILE + j..]);
        }
    }
}

#[inline(always)]
fn micro<const M: usize, const N: usize, const FUSED: bool>(left: &[f64], right: &[f64], sums: &mut [f64]) {
    let mut chains = [[0.0; N]; M];
    for (i, chain) in chains.iter_mut().enumerate() {
        chain.copy_from_slice(&sums[i * TILE..i * TILE + N]);
    }
    let (left, _) = left.as_chunks::<M>();
    let (right, _) = right.as_chunks::<N>();
    for (a, b) in left.iter().zip(right) {
        for (chain, a) in chains.iter_mut().zip(a) {
            for (sum, b) in chain.iter_mut().zip(b) {
                // The same number either way, see above; without the instruction `mul_add` is a slow call.
                *sum = if FUSED { a.mul_add(*b, *sum) } else { a * b + *sum };
            }
        }
    }
    for (i, chain) in chains.iter().enumerate() {
        sums[i * TILE..i * TILE + N].copy_from_slice(chain);
    }
}
