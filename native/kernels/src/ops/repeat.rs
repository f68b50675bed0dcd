use super::split::fill_rows;
use crate::error::KernelError;
use crate::gemm::Context;

/// Copies x over and over until `out` is full; its length is a multiple of that of x: a batch laid out once for every
/// variant of a sweep. Exact.
pub fn repeat(ctx: &Context<'_>, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    if out.is_empty() {
        return ctx.result();
    }
    if x.is_empty() || !out.len().is_multiple_of(x.len()) {
        return Err(KernelError::Shape { what: "out of repeat", expected: x.len(), got: out.len() });
    }
    fill_rows(ctx, out.len(), 1, [(out, 1)], &|rows, [out]| {
        let mut at = rows.start % x.len();
        let mut out = out;
        while !out.is_empty() {
            let count = out.len().min(x.len() - at);
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&x[at..at + count]);
            (out, at) = (later, 0);
        }
    })
}
