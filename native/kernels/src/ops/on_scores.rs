use std::ops::Range;

use super::add_alibi::alibi_row;
use super::add_bias::{bias_row, check_buckets};
use super::scores::{Block, Heads};
use super::soft_cap::cap_row;
use super::split::expect_len;
use crate::error::KernelError;
use crate::isa::Isa;

/// What scores get for the bucket of a query's distance to a key.
#[derive(Clone, Copy, Debug)]
pub struct Bias<'a> {
    /// [pos, keys]
    pub buckets: &'a [i32],
    /// [count, heads]
    pub table: &'a [f32],
}

/// What scores get for the position of a key.
#[derive(Clone, Copy, Debug)]
pub struct Alibi<'a> {
    /// [rows, keys]
    pub positions: &'a [i32],
    /// [heads]
    pub slopes: &'a [f32],
}

/// What happens to scores before their softmax, in this order: soft_cap, add_bias, add_alibi.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnScores<'a> {
    pub cap: Option<f32>,
    pub bias: Option<Bias<'a>>,
    pub alibi: Option<Alibi<'a>>,
}

impl OnScores<'_> {
    pub(crate) fn check(&self, heads: &Heads) -> Result<(), KernelError> {
        if let Some(Bias { buckets, table }) = self.bias {
            let count = table.len().checked_div(heads.heads).unwrap_or(0);
            expect_len("buckets of attention", buckets.len(), &[heads.pos, heads.keys])?;
            expect_len("table of attention", table.len(), &[count, heads.heads])?;
            check_buckets(buckets, count)?;
        }
        if let Some(Alibi { positions, slopes }) = self.alibi {
            expect_len("positions of attention", positions.len(), &[heads.rows, heads.keys])?;
            expect_len("slopes of attention", slopes.len(), &[heads.heads])?;
        }
        Ok(())
    }

    /// Scores of one block in rows of `keys`, which are −∞ outside of `seen` and stay so.
    pub(crate) fn apply(
        &self,
        isa: Isa,
        heads: &Heads,
        block: &Block,
        seen: &dyn Fn(usize) -> Range<usize>,
        rows: &mut [f32],
    ) {
        let column: Vec<f32> =
            self.bias.map_or(vec![], |bias| bias.table.iter().skip(block.head).step_by(heads.heads).copied().collect());
        for (query, row) in block.queries.clone().zip(rows.chunks_exact_mut(heads.keys)) {
            let seen = seen(query);
            let row = &mut row[seen.clone()];
            if let Some(cap) = self.cap {
                cap_row(isa, row, cap);
            }
            if let Some(Bias { buckets, .. }) = self.bias {
                bias_row(isa, row, &column, &buckets[query * heads.keys..][seen.clone()]);
            }
            if let Some(Alibi { positions, slopes }) = self.alibi {
                alibi_row(isa, row, slopes[block.head], &positions[block.row * heads.keys..][seen]);
            }
        }
    }
}
