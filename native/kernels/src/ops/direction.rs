use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// x − (x·u)u
    ProjectOut,
    /// x + c·u
    Steer,
    /// x + (c − x·u)u: the projection becomes c.
    Clamp,
}

/// Where and how far to move along the unit direction u: [n3], or [rows, n3] with one for each row.
#[derive(Clone, Copy, Debug)]
pub struct Direction<'a> {
    pub dims: [usize; 3],
    pub operation: Operation,
    pub unit: &'a [f32],
    /// [rows, n1], [rows, n2]
    pub masks: [Option<&'a [i32]>; 2],
    /// c of each row; 1 where left out.
    pub coefficient: Option<&'a [f32]>,
}

per_isa! {
    fn move_along(out: &mut [f32], unit: &[f32], operation: Operation, coefficient: f32) {
        let amount = match operation {
            Operation::Steer => coefficient,
            Operation::ProjectOut => -tree_dot(out, unit),
            Operation::Clamp => coefficient - tree_dot(out, unit),
        };
        for (out, unit) in out.iter_mut().zip(unit) {
            *out = amount.mul_add(*unit, *out);
        }
    }
}

/// Acts on every vector [n3] of x [rows, n1, n2, n3] whose masks hold; elsewhere the bits of x pass. Dot by the fixed
/// tree, then one fused step per entry. u is used as given: it is for the caller to make it of unit length. Exact.
pub fn direction(
    ctx: &Context<'_>,
    rows: usize,
    direction: Direction<'_>,
    x: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Direction { dims: [n1, n2, n3], operation, unit, masks, coefficient } = direction;
    expect_len("x of direction", x.len(), &[rows, n1, n2, n3])?;
    expect_len("out of direction", out.len(), &[x.len()])?;
    let per_row = unit.len() != n3;
    if per_row {
        expect_len("dir of direction", unit.len(), &[rows, n3])?;
    }
    for (mask, n) in masks.iter().zip([n1, n2]) {
        if let Some(mask) = mask {
            expect_len("mask of direction", mask.len(), &[rows, n])?;
        }
    }
    if let Some(coefficient) = coefficient {
        expect_len("coef of direction", coefficient.len(), &[rows])?;
    }
    if out.is_empty() {
        return ctx.result();
    }
    let holds = |mask: Option<&[i32]>, at: usize| mask.is_none_or(|mask| mask[at] != 0);
    fill_rows(ctx, rows * n1 * n2, 2 * n3, [(out, n3)], &|vectors, [out]| {
        out.copy_from_slice(&x[vectors.start * n3..vectors.end * n3]);
        for (vector, out) in vectors.zip(out.chunks_exact_mut(n3)) {
            let (row, a, b) = (vector / (n1 * n2), vector / n2 % n1, vector % n2);
            if holds(masks[0], row * n1 + a) && holds(masks[1], row * n2 + b) {
                let own = if per_row { &unit[row * n3..(row + 1) * n3] } else { unit };
                move_along(ctx.isa, out, own, operation, coefficient.map_or(1.0, |coefficient| coefficient[row]));
            }
        }
    })
}
