//! Decompositions of float64 matrices by faer, on the calling thread: its results then depend on the processor's instruction
//! set alone, and are bounded, not exact. A matrix is first divided by a power of two next to its largest entry, so that no
//! square overflows or vanishes; signs are fixed afterwards.

use faer::linalg::solvers::{Qr, SelfAdjointEigen, Svd};
use faer::{MatRef, Side};

use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::Context;

/// A = U S Vᵀ, thin: U [n, r], S [r], V [p, r], r = min(n, p). In each column of U the largest entry is positive.
pub fn svd(ctx: &Context<'_>, a: &[f64], [n, p]: [usize; 2], out: [&mut [f64]; 3]) -> Result<(), KernelError> {
    let r = n.min(p);
    let [u, s, v] = out;
    for (slice, sizes) in [(&*u, [n, r]), (&*s, [r, 1]), (&*v, [p, r])] {
        expect_len("out of svd", slice.len(), &sizes)?;
    }
    let (scaled, power) = scaled_down(ctx, "a of svd", a, &[n, p])?;
    if scaled.is_empty() {
        return Ok(());
    }
    let found = Svd::new_thin(MatRef::from_row_major_slice(&scaled, n, p));
    let found = found.map_err(|_| KernelError::NoConvergence { what: "svd" })?;
    for (s, value) in s.iter_mut().zip(found.S().column_vector().iter()) {
        *s = value * power;
    }
    write(found.U(), u);
    write(found.V(), v);
    for column in 0..r {
        if leads_negative(u, r, column) {
            turn(u, r, column);
            turn(v, r, column);
        }
    }
    finite("svd", &[u, v])
}

/// Eigenvalues, largest first, and vectors in columns, in each the largest entry positive, of the symmetric matrix whose lower
/// half is given.
pub fn symmetric_eigen(ctx: &Context<'_>, a: &[f64], n: usize, out: [&mut [f64]; 2]) -> Result<(), KernelError> {
    let [values, vectors] = out;
    expect_len("values of symmetric_eigen", values.len(), &[n])?;
    expect_len("vectors of symmetric_eigen", vectors.len(), &[n, n])?;
    let (scaled, power) = scaled_down(ctx, "a of symmetric_eigen", a, &[n, n])?;
    if scaled.is_empty() {
        return Ok(());
    }
    let found = SelfAdjointEigen::new(MatRef::from_row_major_slice(&scaled, n, n), Side::Lower);
    let found = found.map_err(|_| KernelError::NoConvergence { what: "symmetric_eigen" })?;
    // They come smallest first.
    for (at, value) in found.S().column_vector().iter().enumerate() {
        values[n - 1 - at] = value * power;
    }
    write(found.U().reverse_cols(), vectors);
    for column in 0..n {
        if leads_negative(vectors, n, column) {
            turn(vectors, n, column);
        }
    }
    finite("symmetric_eigen", &[vectors])
}

/// A = QR, thin: Q [n, r] and R [r, p], r = min(n, p); no entry of R's diagonal is negative, what is below it is +0.
pub fn qr(ctx: &Context<'_>, a: &[f64], [n, p]: [usize; 2], out: [&mut [f64]; 2]) -> Result<(), KernelError> {
    let count = n.min(p);
    let [q, r] = out;
    expect_len("q of qr", q.len(), &[n, count])?;
    expect_len("r of qr", r.len(), &[count, p])?;
    let (scaled, power) = scaled_down(ctx, "a of qr", a, &[n, p])?;
    if scaled.is_empty() {
        return Ok(());
    }
    let found = Qr::new(MatRef::from_row_major_slice(&scaled, n, p));
    write(found.compute_thin_Q().as_ref(), q);
    write(found.thin_R(), r);
    for (row, r) in r.chunks_exact_mut(p).enumerate() {
        let sign = if r[row] < 0.0 { -power } else { power };
        r[..row].fill(0.0);
        r[row..].iter_mut().for_each(|entry| *entry *= sign);
        if sign < 0.0 {
            turn(q, count, row);
        }
    }
    finite("qr", &[q])
}

/// Eigenvalues of a square matrix, by real part, which is compared at 2⁻³⁰ of the largest value, then by imaginary part, largest
/// first.
pub fn eigenvalues(ctx: &Context<'_>, a: &[f64], n: usize, [re, im]: [&mut [f64]; 2]) -> Result<(), KernelError> {
    expect_len("re of eigenvalues", re.len(), &[n])?;
    expect_len("im of eigenvalues", im.len(), &[n])?;
    let (scaled, power) = scaled_down(ctx, "a of eigenvalues", a, &[n, n])?;
    if scaled.is_empty() {
        return Ok(());
    }
    let found = MatRef::from_row_major_slice(&scaled, n, n).eigenvalues();
    let mut found = found.map_err(|_| KernelError::NoConvergence { what: "eigenvalues" })?;
    let largest = found.iter().fold(0.0f64, |most, value| most.max(value.re.abs()).max(value.im.abs()));
    let place = |re: f64| (re / if largest > 0.0 { largest } else { 1.0 } * 2f64.powi(30)).round();
    found.sort_by(|x, y| place(y.re).total_cmp(&place(x.re)).then(y.im.total_cmp(&x.im)));
    for ((re, im), value) in re.iter_mut().zip(im.iter_mut()).zip(found) {
        (*re, *im) = (value.re * power, value.im * power);
    }
    Ok(())
}

/// The matrix over the least power of two above its largest entry, at most 2^1023.
fn scaled_down(
    ctx: &Context<'_>,
    what: &'static str,
    a: &[f64],
    sizes: &[usize],
) -> Result<(Vec<f64>, f64), KernelError> {
    ctx.result()?;
    expect_len(what, a.len(), sizes)?;
    if let Some(at) = a.iter().position(|x| !x.is_finite()) {
        return Err(KernelError::NotFinite { what, at });
    }
    let largest = a.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let mut power = 1.0;
    while largest > 0.0 && power <= largest && power < 2f64.powi(1023) {
        power *= 2.0;
    }
    while largest > 0.0 && power / 2.0 > largest && power > 2f64.powi(-1022) {
        power /= 2.0;
    }
    let mut scaled = Vec::new();
    scaled.try_reserve_exact(a.len()).map_err(|_| KernelError::TooLarge { what })?;
    scaled.extend(a.iter().map(|x| x / power));
    Ok((scaled, power))
}

fn write(from: MatRef<'_, f64>, to: &mut [f64]) {
    let columns = from.ncols();
    for (i, row) in to.chunks_exact_mut(columns).enumerate() {
        for (j, to) in row.iter_mut().enumerate() {
            *to = from[(i, j)];
        }
    }
}

/// Whether the largest entry of a column, the first of equals, is negative.
fn leads_negative(matrix: &[f64], width: usize, column: usize) -> bool {
    let entries = matrix[column..].iter().step_by(width);
    entries.fold(0.0f64, |largest, &x| if x.abs() > largest.abs() { x } else { largest }) < 0.0
}

fn turn(matrix: &mut [f64], width: usize, column: usize) {
    matrix[column..].iter_mut().step_by(width).for_each(|x| *x = -*x);
}

/// What faer gives for a matrix that it cannot decompose must not pass for a result.
fn finite(what: &'static str, all: &[&mut [f64]]) -> Result<(), KernelError> {
    let good = all.iter().all(|entries| entries.iter().all(|x| x.is_finite()));
    if good { Ok(()) } else { Err(KernelError::NoConvergence { what }) }
}
