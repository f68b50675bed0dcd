use super::per_isa::per_isa;
use super::split::{Rows, expect_len, try_tasks};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;

/// Sizes of x [rows, pos, vectors, width].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub pos: usize,
    pub vectors: usize,
    pub width: usize,
}

/// What x is multiplied with: [own, pos, count, width], where `own` divides the rows of x: row r reads r % own.
#[derive(Clone, Copy, Debug)]
pub struct Others<'a> {
    pub data: &'a [f32],
    pub count: usize,
}

/// Vectors of the others that one task takes: they and those of x at a position stay near while all pairs meet.
const BLOCK: usize = 8;

per_isa! {
    /// sums[w, v] += other_w · x_v for the vectors of one position.
    fn add_pairs(sums: &mut [f64], x: &[f32], others: &[f32], width: usize) {
        let vectors = x.len() / width;
        for (sums, other) in sums.chunks_exact_mut(vectors).zip(others.chunks_exact(width)) {
            for (sum, x) in sums.iter_mut().zip(x.chunks_exact(width)) {
                *sum += f64::from(tree_dot(other, x));
            }
        }
    }
}

/// out[r, w, v] = Σ_p other[r, p, w] · x[r, p, v], out [rows, all others, vectors]: every vector of x with every one of the
/// others, over positions. A dot is made by the fixed tree, positions are added in ascending order in f64 and rounded
/// once. Exact.
pub fn pair_dots(
    ctx: &Context<'_>,
    sizes: Sizes,
    x: &[f32],
    others: &[Others<'_>],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Sizes { rows, pos, vectors, width } = sizes;
    let all = others.iter().try_fold(0usize, |sum, of| sum.checked_add(of.count));
    let all = all.ok_or(KernelError::TooLarge { what: "others of pair_dots" })?;
    expect_len("x of pair_dots", x.len(), &[rows, pos, vectors, width])?;
    expect_len("out of pair_dots", out.len(), &[rows, all, vectors])?;
    let mut blocks = Vec::new();
    let mut first = 0;
    for of in others {
        let size = pos.saturating_mul(of.count).saturating_mul(width);
        let own = of.data.len().checked_div(size).unwrap_or(rows);
        let shared = own != 0 && rows.is_multiple_of(own);
        expect_len("others of pair_dots", of.data.len(), &[if shared { own } else { rows }, pos, of.count, width])?;
        for from in (0..of.count).step_by(BLOCK) {
            blocks.push((of, own, from, of.count.min(from + BLOCK), first + from));
        }
        first += of.count;
    }
    if width == 0 || pos == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    if out.is_empty() {
        return ctx.result();
    }
    let out = Rows::new(out, vectors);
    try_tasks(ctx, rows * blocks.len(), &|task| {
        // Blocks of one row run one after the other, so that its vectors are still near.
        let (row, (of, own, from, to, first)) = (task / blocks.len(), blocks[task % blocks.len()]);
        let mut sums = vec![0.0f64; (to - from) * vectors];
        for p in 0..pos {
            if ctx.is_cancelled() {
                break;
            }
            let x = &x[(row * pos + p) * vectors * width..][..vectors * width];
            let others = &of.data[((row % own * pos + p) * of.count + from) * width..][..(to - from) * width];
            add_pairs(ctx.isa, &mut sums, x, others, width);
        }
        // SAFETY: each task has its own row and block, so no two take the same rows of the output.
        let part = unsafe { out.take(row * all + first..row * all + first + (to - from)) };
        for (out, sum) in part.iter_mut().zip(&sums) {
            *out = *sum as f32;
        }
        Ok(())
    })
}
