use std::ops::Range;

use super::double_tile::{Columns, TILE, add_products};
use super::split::{Rows, expect_len, try_tasks};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::scratch::with_doubles;

/// out = before + Xᵀ Y in float64, X [n, p] and Y [n, q] in float32; XᵀX where there is no Y. One chain an entry over the
/// rows ascending, from `before` or +0: rows in several calls, each with what the last one gave, have the bits of one call.
/// Exact: each product is, each addition rounds once. XᵀX is computed above the diagonal, where `before` is read, and mirrored.
pub fn gram(
    ctx: &Context<'_>,
    x: &[f32],
    y: Option<&[f32]>,
    [n, p, q]: [usize; 3],
    before: Option<&[f64]>,
    out: &mut [f64],
) -> Result<(), KernelError> {
    let q = if y.is_some() { q } else { p };
    expect_len("x of gram", x.len(), &[n, p])?;
    expect_len("y of gram", y.map_or(0, <[f32]>::len), &[n, if y.is_some() { q } else { 0 }])?;
    expect_len("before of gram", before.map_or(out.len(), <[f64]>::len), &[p, q])?;
    expect_len("out of gram", out.len(), &[p, q])?;
    if out.is_empty() {
        return ctx.result();
    }
    let (down, across) = (p.div_ceil(TILE), q.div_ceil(TILE));
    let tiles: Vec<(usize, usize)> =
        (0..down).flat_map(|i| (if y.is_none() { i } else { 0 }..across).map(move |j| (i, j))).collect();
    let a = Columns { data: x, width: p, scaling: None };
    let b = Columns { data: y.unwrap_or(x), width: q, scaling: None };
    let out = Rows::new(out, 1);
    try_tasks(ctx, tiles.len(), &|task| {
        let (i, j) = tiles[task];
        let range = |tile: usize, size: usize| tile * TILE..size.min((tile + 1) * TILE);
        let (rows, columns) = (range(i, p), range(j, q));
        let upper = y.is_none() && i == j;
        with_doubles(TILE * TILE, |sums| {
            sums.fill(0.0);
            if let Some(before) = before {
                for (at, row) in rows.clone().enumerate() {
                    sums[at * TILE..][..columns.len()].copy_from_slice(&before[row * q..][columns.clone()]);
                }
            }
            add_products(ctx, [(a, rows.clone()), (b, columns.clone())], n, upper, sums)?;
            // SAFETY: no two tiles share an entry, nor does a tile with the mirror image of another.
            unsafe { write(&out, q, &rows, &columns, sums, y.is_none().then_some(upper)) };
            Ok(())
        })
        .ok_or(KernelError::TooLarge { what: "a tile of gram" })?
    })
}

/// Copies a tile out; `mirrored` says that it has a mirror image, and whether that lies in itself.
///
/// # Safety
/// While it runs nobody else takes the entries of the tile, or of its mirror image where it has one.
unsafe fn write(
    out: &Rows<'_, f64>,
    width: usize,
    rows: &Range<usize>,
    columns: &Range<usize>,
    sums: &[f64],
    mirrored: Option<bool>,
) {
    for (i, row) in rows.clone().enumerate() {
        let first = if mirrored == Some(true) { i } else { 0 };
        let own = row * width + columns.start;
        // SAFETY: as the contract of the caller says.
        let to = unsafe { out.take(own + first..own + columns.len()) };
        to.copy_from_slice(&sums[i * TILE + first..i * TILE + columns.len()]);
    }
    if let Some(within) = mirrored {
        for (j, column) in columns.clone().enumerate() {
            let last = if within { j } else { rows.len() };
            // SAFETY: as the contract of the caller says; the entries on the diagonal and above it are not among these.
            let to = unsafe { out.take(column * width + rows.start..column * width + rows.start + last) };
            for (i, to) in to.iter_mut().enumerate() {
                *to = sums[i * TILE + j];
            }
        }
    }
}
