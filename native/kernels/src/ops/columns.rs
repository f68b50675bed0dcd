use super::split::{Rows as OutRows, expect_len, index_below, try_tasks};
use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut, matmul_columns};
use crate::pack::PackedMatrix;

/// out[r, g, c] = x[r, g] · W[:, ids[r, c]] + b[ids[r, c]]: a few logits without the rest of the vocabulary, with the bits
/// that `linear` gives them. x is [rows, groups, K], ids [rows, C]. Bounded: (K + 1)·u·Σ|terms|.
pub fn columns(
    ctx: &Context<'_>,
    x: &[f32],
    [rows, groups]: [usize; 2],
    ids: &[i32],
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("x of columns", x.len(), &[rows, groups, w.k()])?;
    if let Some(bias) = bias {
        expect_len("bias of columns", bias.len(), &[w.n()])?;
    }
    let ids = ids.iter().map(|&id| index_below("column id", id, w.n())).collect::<Result<Vec<usize>, KernelError>>()?;
    if rows == 0 {
        return expect_len("out of columns", out.len(), &[0]);
    }
    let count = ids.len() / rows;
    expect_len("ids of columns", ids.len(), &[rows, count])?;
    expect_len("out of columns", out.len(), &[rows, groups, count])?;
    if out.is_empty() {
        return ctx.result();
    }
    let out = OutRows::new(out, groups * count);
    try_tasks(ctx, rows, &|row| {
        // SAFETY: each task has a row of its own.
        let out = unsafe { out.take(row..row + 1) };
        let ids = &ids[row * count..(row + 1) * count];
        let bias = bias.map(|bias| ids.iter().map(|&id| bias[id]).collect::<Vec<f32>>());
        let a = Rows { data: &x[row * groups * w.k()..(row + 1) * groups * w.k()], rows: groups, step: w.k() };
        matmul_columns(ctx, a, w, ids, bias.as_deref(), RowsMut { data: out, rows: groups, step: count })
    })
}
