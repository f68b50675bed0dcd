use std::ops::Range;

use crate::gemm::{Rows, SharedFloats};
use crate::isa::Isa;
use crate::ops::per_isa;

/// From a row to a row of the same length, entry by entry.
pub type OnRow = fn(Isa, &mut [f32], &[f32]);

/// What happens to a finished chain on its way out, while it is still in the cache; in this order, each step rounded once:
/// the bias is added, times `alpha`, plus `beta` times what stands in `onto` (fused), then the function.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    pub alpha: f32,
    /// 0: `onto` is not read, so that a NaN there does not show.
    pub beta: f32,
    /// As many rows and columns as the product.
    pub onto: Option<Rows<'a>>,
    pub function: Option<OnRow>,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Epilogue { alpha: 1.0, beta: 0.0, onto: None, function: None }
    }
}

per_isa! {
    fn scale(row: &mut [f32], alpha: f32) {
        for value in row {
            *value *= alpha;
        }
    }
}

per_isa! {
    fn add_scaled(row: &mut [f32], beta: f32, onto: &[f32]) {
        for (value, &onto) in row.iter_mut().zip(onto) {
            *value = beta.mul_add(onto, *value);
        }
    }
}

/// Entries that a function is applied to at once, from a copy.
const PIECE: usize = 256;

impl Epilogue<'_> {
    /// Whether the product is what it would be without.
    pub(crate) fn is_nothing(&self) -> bool {
        self.alpha == 1.0 && self.addend().is_none() && self.function.is_none()
    }

    /// What is added, if it is read at all.
    pub(crate) fn addend(&self) -> Option<Rows<'_>> {
        self.onto.filter(|_| self.beta != 0.0)
    }

    /// Finishes the product of row `row` in some columns.
    fn finish(&self, isa: Isa, row: usize, columns: Range<usize>, out: &mut [f32]) {
        if self.alpha != 1.0 {
            scale(isa, out, self.alpha);
        }
        if let Some(onto) = self.addend() {
            let start = row * onto.step;
            add_scaled(isa, out, self.beta, &onto.data[start + columns.start..start + columns.end]);
        }
        if let Some(function) = self.function {
            let mut copy = [0f32; PIECE];
            for out in out.chunks_mut(PIECE) {
                copy[..out.len()].copy_from_slice(out);
                function(isa, out, &copy[..out.len()]);
            }
        }
    }

    /// Finishes a block of a product: `c` is where row 0 and column 0 stand, `first` which row of `onto` that is.
    ///
    /// # Safety
    /// The block lies in the extent of `c`, its chains are whole, and nobody else touches it meanwhile.
    pub(crate) unsafe fn finish_block(
        &self,
        isa: Isa,
        (c, c_step): (&SharedFloats, usize),
        first: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        for row in rows {
            // SAFETY: the caller's promise.
            let out = unsafe {
                std::slice::from_raw_parts_mut(c.get().wrapping_add(row * c_step + columns.start), columns.len())
            };
            self.finish(isa, first + row, columns.clone(), out);
        }
    }
}
