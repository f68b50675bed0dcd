use crate::error::KernelError;
use crate::gemm::{Context, Rows, RowsMut};
use crate::over_rows::over_rows;

/// How the gradient of a weight sums over rows: `count` groups of `rows` rows each, one after the other. An input with fewer
/// rows than the others serves anew where it ends: row r of all is row r mod its own number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups {
    pub count: usize,
    pub rows: usize,
}

/// One side of the products of a group: vectors inside rows that are `step` wide, from `offset` on.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub step: usize,
    pub offset: usize,
}

impl Groups {
    /// For inputs with these numbers of rows: each holds whole groups, or a group holds it a whole number of times.
    pub fn new(count: usize, inputs: &[usize]) -> Result<Groups, KernelError> {
        let total = inputs.iter().copied().max().unwrap_or(0);
        let wrong = |got| Err(KernelError::Shape { what: "rows of the groups of a gradient", expected: total, got });
        let rows = total.checked_div(count).unwrap_or(0);
        if rows * count != total {
            return wrong(count);
        }
        for &own in inputs {
            let whole = own > 0 && total % own == 0 && (own % rows == 0 || rows % own == 0);
            if !(whole || total == 0) {
                return wrong(own);
            }
        }
        Ok(Groups { count, rows })
    }

    /// Which of its own rows an input gives as row `at` of a group.
    pub(crate) fn row(&self, group: usize, at: usize, own: usize) -> usize {
        (group * self.rows + at) % own.max(1)
    }

    /// The rows of a group in stretches that lie together in both inputs; one without rows where there are none.
    pub(crate) fn stretches(&self, own: [usize; 2]) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (rows, len) = (self.rows, own.into_iter().fold(self.rows, usize::min));
        (0..rows.max(1)).step_by(len.max(1)).map(move |at| at..at + len)
    }

    /// C = Σ_t a[t]ᵀ · b[t] over the rows t of a group, one chain for each element.
    pub(crate) fn product(
        &self,
        ctx: &Context<'_>,
        group: usize,
        sizes: [usize; 2],
        [a, b]: [Operand<'_>; 2],
        c: RowsMut<'_>,
    ) -> Result<(), KernelError> {
        for stretch in self.stretches([a.rows, b.rows]) {
            let [a, b] = [a, b].map(|x| {
                let start = self.row(group, stretch.start, x.rows) * x.step + x.offset;
                Rows { data: x.data.get(start..).unwrap_or_default(), rows: stretch.len(), step: x.step }
            });
            let c = RowsMut { data: &mut *c.data, rows: c.rows, step: c.step };
            over_rows(ctx, sizes, [a, b], c, stretch.start > 0)?;
        }
        Ok(())
    }
}
