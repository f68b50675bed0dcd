//! Products that sum over the rows of two activations: the gradients of weights. The chains are those of [`crate::gemm`].

use crate::error::KernelError;
use crate::gemm::{
    Context, PACKED_FLOATS, Rows, RowsMut, SharedFloats, WORTH_SHARING, check_output, check_rows, spread,
};
use crate::half::Dtype;
use crate::micro;
use crate::pool;
use crate::scratch::with_scratch;
use crate::sweep::{Blocks, Sweep, copy_line, pack_block};

/// Rows of A and B that are packed at once: a panel of that many stays in L2 while the row blocks of C pass over it.
const STRETCH: usize = 1024;
/// Shorter stretches reload C too often.
const LEAST_STRETCH: usize = 256;
/// Blocks of A, or panels of B, that one task packs.
const GROUP: usize = 2;

/// C[i, j] = Σ_t A[t, i] · B[t, j] for i < m, j < n: each element one chain of fused multiply-adds from +0.0 over ascending
/// rows t, continued from one stretch of rows to the next. With `onto` the chains go on from what stands in C.
pub(crate) fn over_rows(
    ctx: &Context<'_>,
    [m, n]: [usize; 2],
    [a, b]: [Rows<'_>; 2],
    c: RowsMut<'_>,
    onto: bool,
) -> Result<(), KernelError> {
    let rows = a.rows;
    if b.rows != rows {
        return Err(KernelError::Shape { what: "rows of B", expected: rows, got: b.rows });
    }
    check_rows(a, m)?;
    check_rows(b, n)?;
    check_output(&c, m, n, None)?;
    ctx.result()?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    let micro = micro::of(ctx.isa);
    let work = m.saturating_mul(n).saturating_mul(rows);
    let ctx = &Context { threads: if work < WORTH_SHARING { 1 } else { ctx.threads }, ..*ctx };
    let stretch = (PACKED_FLOATS / m.max(n)).clamp(LEAST_STRETCH, STRETCH).min(rows.max(1));
    // Parts of C whose packed operands fit the limit.
    let m_part = (PACKED_FLOATS / stretch / micro.mr).max(1) * micro.mr;
    let n_part = (PACKED_FLOATS / stretch / micro.nr).max(1) * micro.nr;
    let c_start = c.data.as_mut_ptr();
    let a_len = m.min(m_part) * stretch;
    let b_len = n.min(n_part).next_multiple_of(micro.nr) * stretch;
    let done = with_scratch(a_len + b_len + 16, |scratch| {
        let (b_packed, a_packed) = scratch.split_at_mut(b_len);
        let mut from = 0;
        loop {
            let len = stretch.min(rows - from);
            for m_from in (0..m).step_by(m_part) {
                let blocks = Blocks::new(m_part.min(m - m_from), micro.mr);
                pack_across(ctx, part_of(a, from, m_from, len), blocks, a_packed);
                for n_from in (0..n).step_by(n_part) {
                    let width = n_part.min(n - n_from);
                    // Where B is one part, it is packed once for all parts of A.
                    if n > n_part || m_from == 0 {
                        pack_panels(ctx, part_of(b, from, n_from, len), width, micro.nr, b_packed);
                    }
                    let sweep = Sweep {
                        micro,
                        dtype: Dtype::F32,
                        zeros: None,
                        k: len,
                        blocks,
                        a: a_packed.as_ptr(),
                        b: b_packed.as_ptr().cast(),
                        panel_step: micro.nr * len * 4,
                        b_step: micro.nr * 4,
                        columns: 0..width,
                        bias: None,
                        c: c_start.wrapping_add(m_from * c.step + n_from),
                        c_step: c.step,
                        onto: onto || from > 0,
                        cancel: ctx.cancel,
                    };
                    // SAFETY: both operands were packed to their full size; C was checked and is held uniquely by this
                    // call.
                    unsafe { spread(&sweep, ctx.threads) };
                    ctx.result()?;
                }
            }
            from += len;
            if from == rows {
                return Ok(());
            }
        }
    });
    done.ok_or(KernelError::TooLarge { what: "packed rows" })?
}

/// Rows `from .. from + rows`, beginning with column `first`.
fn part_of(x: Rows<'_>, from: usize, first: usize, rows: usize) -> Rows<'_> {
    // Without rows there is nothing to begin with.
    Rows { data: x.data.get(from * x.step + first..).unwrap_or_default(), rows, step: x.step }
}

/// Packs the first columns of A into `[block][row][column of the block]`.
fn pack_across(ctx: &Context<'_>, a: Rows<'_>, blocks: Blocks, out: &mut [f32]) {
    let len = a.rows;
    if len == 0 {
        return;
    }
    let out = SharedFloats::new(out.as_mut_ptr());
    pool::run(ctx.threads, blocks.count.div_ceil(GROUP), &|group| {
        for block in group * GROUP..blocks.count.min((group + 1) * GROUP) {
            let columns = blocks.range(block);
            // SAFETY: `out` holds blocks.rows · len floats; no two blocks share any.
            let out =
                unsafe { std::slice::from_raw_parts_mut(out.get().add(columns.start * len), columns.len() * len) };
            pack_block(ctx.isa, a.data, columns, 1, a.step, len, out);
        }
    });
}

/// Packs the first `width` columns of B into panels `[panel][row][nr]`, zeros behind the last column.
fn pack_panels(ctx: &Context<'_>, b: Rows<'_>, width: usize, nr: usize, out: &mut [f32]) {
    let len = b.rows;
    if len == 0 {
        return;
    }
    let panels = width.div_ceil(nr);
    let out = SharedFloats::new(out.as_mut_ptr());
    pool::run(ctx.threads, panels.div_ceil(GROUP), &|group| {
        for panel in group * GROUP..panels.min((group + 1) * GROUP) {
            let wanted = panel * nr..width.min((panel + 1) * nr);
            // SAFETY: `out` holds panels · nr · len floats; no two panels share any.
            let out = unsafe { std::slice::from_raw_parts_mut(out.get().add(panel * nr * len), nr * len) };
            for (row, out) in out.chunks_exact_mut(nr).enumerate() {
                copy_line(&b.data[row * b.step + wanted.start..row * b.step + wanted.end], out);
            }
        }
    });
}
