use super::per_isa::per_isa;
use super::split::fill_rows;
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn add_to(out: &mut [f32], term: &[f32]) {
        for (out, term) in out.iter_mut().zip(term) {
            *out += term;
        }
    }
}

/// Entries that stay in the first cache while the terms are added to them.
const BLOCK: usize = 2048;

/// x0 + x1 + … from left to right, each addition rounded: the order is part of the value. A term may be shorter than the
/// output by a whole factor and is then read over and over: variants share rows that they do not change. Exact.
pub fn sum(ctx: &Context<'_>, terms: &[&[f32]], out: &mut [f32]) -> Result<(), KernelError> {
    for term in terms {
        let fits = if term.is_empty() { out.is_empty() } else { out.len().is_multiple_of(term.len()) };
        if !fits {
            return Err(KernelError::Shape { what: "term of a sum", expected: out.len(), got: term.len() });
        }
    }
    let Some((first, rest)) = terms.split_first() else {
        out.fill(0.0);
        return ctx.result();
    };
    fill_rows(ctx, out.len(), terms.len(), [(out, 1)], &|rows, [out]| {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let from = rows.start + block * BLOCK;
            in_pieces(out, first, from, &|out, term| out.copy_from_slice(term));
            for term in rest {
                in_pieces(out, term, from, &|out, term| add_to(ctx.isa, out, term));
            }
        }
    })
}

/// Meets `out`, which begins at entry `from` of the whole output, with its entries of a term that is read over and over.
fn in_pieces(mut out: &mut [f32], term: &[f32], mut from: usize, body: &dyn Fn(&mut [f32], &[f32])) {
    while !out.is_empty() {
        let at = from % term.len();
        let count = out.len().min(term.len() - at);
        let (now, later) = out.split_at_mut(count);
        body(now, &term[at..at + count]);
        (out, from) = (later, from + count);
    }
}
