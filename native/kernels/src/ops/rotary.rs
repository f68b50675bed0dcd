use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, index_below};
use crate::error::KernelError;
use crate::gemm::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Entry i pairs with i + dims/2 (GPT-NeoX, Llama).
    Half,
    /// Entry 2i pairs with 2i + 1 (GPT-J, llama2.c).
    Adjacent,
}

/// x is [tokens, heads, width], of which the first `dims` entries turn.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'a> {
    pub heads: usize,
    pub width: usize,
    pub dims: usize,
    pub layout: Layout,
    /// Turns back: the transpose of the rotation.
    pub inverse: bool,
    /// [context, dims / 2]
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

per_isa! {
    fn turn_head(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], layout: Layout, inverse: bool) {
        let half = cos.len();
        // The angle's sign is exact, so turning back makes the same roundings.
        let sign = if inverse { -1.0 } else { 1.0 };
        match layout {
            Layout::Half => {
                let (a, b) = x.split_at(half);
                let (first, second) = out.split_at_mut(half);
                for i in 0..half {
                    first[i] = (-b[i]).mul_add(sign * sin[i], a[i] * cos[i]);
                    second[i] = a[i].mul_add(sign * sin[i], b[i] * cos[i]);
                }
            }
            Layout::Adjacent => {
                for (((out, x), cos), sin) in out.chunks_exact_mut(2).zip(x.chunks_exact(2)).zip(cos).zip(sin) {
                    out[0] = (-x[1]).mul_add(sign * sin, x[0] * cos);
                    out[1] = x[0].mul_add(sign * sin, x[1] * cos);
                }
            }
        }
    }
}

/// A pair (a, b) becomes (a·cos − b·sin, b·cos + a·sin) for the angle of the token's position, with `inverse` for the
/// opposite angle; the product with cos is rounded, the other fused onto it. The rest is copied. Exact. Source: Su et al. 2021, RoFormer.
pub fn rotary(
    ctx: &Context<'_>,
    rotary: Rotary<'_>,
    x: &[f32],
    positions: &[i32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Rotary { heads, width, dims, cos, sin, .. } = rotary;
    if dims % 2 != 0 || dims > width {
        return Err(KernelError::Shape {
            what: "dims of rotary: even, and at most the width",
            expected: width,
            got: dims,
        });
    }
    expect_len("sin of rotary", sin.len(), &[cos.len()])?;
    expect_len("x of rotary", x.len(), &[positions.len(), heads, width])?;
    let half = dims / 2;
    let context = cos.len().checked_div(half).unwrap_or(i32::MAX as usize);
    expect_len("cos of rotary", cos.len(), &[context * usize::from(half > 0), half])?;
    for &position in positions {
        index_below("position in the rotary table", position, context)?;
    }
    turn(ctx, rotary, x, out, positions.len(), &|token| positions[token] as usize)
}

/// The same with the waves of each token given, [tokens, dims / 2]: angles that depend on more than the position.
pub fn rotate(ctx: &Context<'_>, rotary: Rotary<'_>, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let Rotary { heads, width, dims, cos, sin, .. } = rotary;
    if dims % 2 != 0 || dims > width {
        return Err(KernelError::Shape { what: "waves of rotate: at most half the width", expected: width, got: dims });
    }
    let tokens = x.len().checked_div(heads * width).unwrap_or(0);
    expect_len("x of rotate", x.len(), &[tokens, heads, width])?;
    expect_len("cos of rotate", cos.len(), &[tokens, dims / 2])?;
    expect_len("sin of rotate", sin.len(), &[tokens, dims / 2])?;
    turn(ctx, rotary, x, out, tokens, &|token| token)
}

/// Turns every token by one row of the table.
fn turn(
    ctx: &Context<'_>,
    rotary: Rotary<'_>,
    x: &[f32],
    out: &mut [f32],
    tokens: usize,
    row_of: &(dyn Fn(usize) -> usize + Sync),
) -> Result<(), KernelError> {
    let Rotary { heads, width, dims, layout, inverse, cos, sin } = rotary;
    expect_len("out of rotary", out.len(), &[x.len()])?;
    let half = dims / 2;
    fill_rows(ctx, tokens, heads * width, [(out, heads * width)], &|tokens, [out]| {
        let first = tokens.start * heads * width;
        let x = &x[first..first + out.len()];
        out.copy_from_slice(x);
        if half == 0 || heads == 0 {
            return;
        }
        let heads_of = |token: usize| (token - tokens.start) * heads..(token - tokens.start + 1) * heads;
        for token in tokens.clone() {
            let at = row_of(token) * half;
            for head in heads_of(token) {
                let part = head * width..head * width + dims;
                turn_head(
                    ctx.isa,
                    &mut out[part.clone()],
                    &x[part],
                    &cos[at..at + half],
                    &sin[at..at + half],
                    layout,
                    inverse,
                );
            }
        }
    })
}
