use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Set,
    Add,
    Scale,
}

/// What is written, times the coefficient of the row.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// One number everywhere.
    Scalar(f32),
    /// [n2, n3], the same for every row and n1.
    Vector(&'a [f32]),
    /// [Rv, n1, n2, n3]; row r reads r mod Rv.
    Rows(&'a [f32]),
}

/// A site [rows, n1, n2, n3] and where in it the edit holds: wherever every given mask is nonzero.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    pub dims: [usize; 3],
    pub operation: Operation,
    pub value: Value<'a>,
    /// [rows, n1], [rows, n2], [rows, n3]
    pub masks: [Option<&'a [i32]>; 3],
    /// [rows]; 1 where left out.
    pub coefficient: Option<&'a [f32]>,
}

/// With y = coefficient[r] · value, rounded: set gives y, add x + y, scale x · y; elsewhere the bits of x pass. Exact.
pub fn edit(ctx: &Context<'_>, rows: usize, edit: Edit<'_>, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let [n1, n2, n3] = edit.dims;
    expect_len("x of edit", x.len(), &[rows, n1, n2, n3])?;
    expect_len("out of edit", out.len(), &[x.len()])?;
    for (mask, n) in edit.masks.iter().zip(edit.dims) {
        if let Some(mask) = mask {
            expect_len("mask of edit", mask.len(), &[rows, n])?;
        }
    }
    if let Some(coefficient) = edit.coefficient {
        expect_len("coefficient of edit", coefficient.len(), &[rows])?;
    }
    let plane = n2 * n3;
    let value_rows = match edit.value {
        Value::Scalar(_) => 1,
        Value::Vector(value) => {
            expect_len("value of edit", value.len(), &[n2, n3])?;
            1
        }
        Value::Rows(value) => row_count("value of edit", value.len(), n1 * plane)?,
    };
    if out.is_empty() {
        return ctx.result();
    }
    if value_rows == 0 {
        return Err(KernelError::Shape { what: "rows of the value of edit", expected: rows, got: 0 });
    }
    let holds =
        |mask: usize, row: usize, at: usize| edit.masks[mask].is_none_or(|m| m[row * edit.dims[mask] + at] != 0);
    // One task takes planes [n2, n3]; a plane belongs to a row and one of its n1.
    fill_rows(ctx, rows * n1, plane, [(out, plane)], &|planes, [out]| {
        out.copy_from_slice(&x[planes.start * plane..planes.end * plane]);
        for (index, out) in planes.zip(out.chunks_exact_mut(plane)) {
            let (row, a) = (index / n1, index % n1);
            if !holds(0, row, a) {
                continue;
            }
            let coefficient = edit.coefficient.map_or(1.0, |coefficient| coefficient[row]);
            let values = match edit.value {
                Value::Scalar(_) => &[][..],
                Value::Vector(value) => value,
                Value::Rows(value) => &value[(row % value_rows * n1 + a) * plane..][..plane],
            };
            for (b, out) in out.chunks_exact_mut(n3).enumerate().filter(|(b, _)| holds(1, row, *b)) {
                for (c, out) in out.iter_mut().enumerate().filter(|(c, _)| holds(2, row, *c)) {
                    let value = match edit.value {
                        Value::Scalar(value) => value,
                        _ => values[b * n3 + c],
                    };
                    let y = coefficient * value;
                    *out = match edit.operation {
                        Operation::Set => y,
                        Operation::Add => *out + y,
                        Operation::Scale => *out * y,
                    };
                }
            }
        }
    })
}
