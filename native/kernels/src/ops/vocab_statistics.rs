use std::ops::Range;
use std::sync::OnceLock;

use super::cross_entropy::IGNORED;
use super::soft_cap::cap_row;
use super::split::{Rows as OutRows, expect_len, index_below, row_count, try_tasks};
use super::top_k::{Best, offer_row};
use super::vocab_tiles::{Tile, before, below_max, differences, merge, sums};
use crate::error::KernelError;
use crate::gemm::{Context, PackedRows, Rows, RowsMut, matmul_columns, with_packed_rows};
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// How a row becomes logits: row · W [K, V] + bias, then cap·tanh(logit / cap).
#[derive(Clone, Copy)]
pub struct Unembedding<'a> {
    pub w: &'a PackedMatrix,
    pub bias: Option<&'a [f32]>,
    pub cap: Option<f32>,
}

/// The rows [R, K], what is asked of them, and the rows [Q, K] that they are held against: row r against r mod Q.
#[derive(Clone, Copy, Debug)]
pub struct VocabRows<'a> {
    pub x: &'a [f32],
    /// [R]; [`IGNORED`] asks for nothing.
    pub ids: Option<&'a [i32]>,
    pub reference: Option<&'a [f32]>,
}

/// What is read out: statistics [R, 5], values and indices [R, k].
#[derive(Debug)]
pub struct VocabOut<'a> {
    pub statistics: Option<&'a mut [f32]>,
    pub k: usize,
    pub values: Option<&'a mut [f32]>,
    pub indices: Option<&'a mut [i32]>,
}

/// Entries of a row of statistics: log Σ exp, entropy, log-probability and rank of the id, divergence.
pub const STATISTICS: usize = 5;

/// Rows of one block, which are packed once and then meet the whole vocabulary.
const ROWS: usize = 128;
/// Columns of one tile: a multiple of every panel. Its logits stay in the second cache while they are read.
const COLUMNS: usize = 384;

impl Unembedding<'_> {
    /// The logits of packed rows for the columns `part`, rows [`COLUMNS`] apart.
    fn fill(
        &self,
        ctx: &Context<'_>,
        x: &PackedRows<'_>,
        part: &Range<usize>,
        piece: &mut [f32],
    ) -> Result<(), KernelError> {
        let rows = piece.len() / COLUMNS;
        let c = RowsMut { data: &mut *piece, rows, step: COLUMNS };
        x.times(ctx, 0..x.blocks.count, self.w, part.clone(), self.bias.map(|b| &b[part.clone()]), c)?;
        if let Some(cap) = self.cap {
            for row in piece.chunks_exact_mut(COLUMNS) {
                cap_row(ctx.isa, &mut row[..part.len()], cap);
            }
        }
        Ok(())
    }

    /// The one logit of a row that `fill` gives column `id`.
    fn one(&self, ctx: &Context<'_>, row: &[f32], id: usize) -> Result<f32, KernelError> {
        let bias = self.bias.map(|bias| [bias[id]]);
        let mut logit = [0.0];
        let rows = Rows { data: row, rows: 1, step: self.w.k() };
        let c = RowsMut { data: &mut logit, rows: 1, step: 1 };
        matmul_columns(ctx, rows, self.w, &[id], bias.as_ref().map(|bias| &bias[..]), c)?;
        if let Some(cap) = self.cap {
            cap_row(ctx.isa, &mut logit, cap);
        }
        Ok(logit[0])
    }
}

/// Rows of the call that are computed together: those that are held against the same references.
struct Block {
    rows: Vec<usize>,
    /// Rows of the reference; row i of the block is held against i % their number. Empty without one.
    references: Range<usize>,
}

/// Rows r, r + Q, r + 2Q, … are held against one reference, whose logits are then made once for all of them.
fn blocks_of(count: usize, references: usize) -> Vec<Block> {
    let (turns, places) = count.checked_div(references).map_or((1, count), |turns| (turns, references));
    let turns_at_once = turns.clamp(1, ROWS);
    let places_at_once = (ROWS / turns_at_once).max(1);
    let mut blocks = Vec::new();
    for first in (0..places).step_by(places_at_once) {
        let here = first..places.min(first + places_at_once);
        for turn in (0..turns).step_by(turns_at_once) {
            let turns = turn..turns.min(turn + turns_at_once);
            let rows = turns.flat_map(|turn| here.clone().map(move |place| turn * places + place)).collect();
            blocks.push(Block { rows, references: if references == 0 { 0..0 } else { here.clone() } });
        }
    }
    blocks
}

/// What a range of tiles says of each row of a block.
struct Found {
    /// [row, tile of the range]
    tiles: Vec<Tile>,
    ranks: Vec<usize>,
    best: Vec<Best>,
}

/// A logit and its id.
type Target = Option<(f32, usize)>;

struct Search<'a> {
    ctx: &'a Context<'a>,
    unembedding: Unembedding<'a>,
    rows: VocabRows<'a>,
    k: usize,
    /// Whether statistics are wanted, not the choice alone.
    statistics: bool,
}

impl Search<'_> {
    fn targets(&self, block: &Block) -> Result<Vec<Target>, KernelError> {
        let width = self.unembedding.w.k();
        let asked = |row: usize| self.rows.ids.map(|ids| ids[row]).filter(|&id| self.statistics && id != IGNORED);
        let one = |row: usize, id: i32| {
            let logit = self.unembedding.one(self.ctx, &self.rows.x[row * width..(row + 1) * width], id as usize);
            logit.map(|logit| Some((logit, id as usize)))
        };
        block.rows.iter().map(|&row| asked(row).map_or(Ok(None), |id| one(row, id))).collect()
    }

    fn block(&self, block: &Block, targets: &[Target], tiles: Range<usize>) -> Result<Found, KernelError> {
        let width = self.unembedding.w.k();
        let rows: Vec<f32> =
            block.rows.iter().flat_map(|row| &self.rows.x[row * width..(row + 1) * width]).copied().collect();
        let x = Rows { data: &rows, rows: block.rows.len(), step: width };
        with_packed_rows(self.ctx, x, width, |x| {
            let Some(reference) = self.rows.reference.filter(|_| self.statistics) else {
                return self.tiles(&x, None, block, targets, tiles);
            };
            let Range { start, end } = block.references;
            let reference = Rows { data: &reference[start * width..end * width], rows: end - start, step: width };
            with_packed_rows(self.ctx, reference, width, |reference| {
                self.tiles(&x, Some(&reference), block, targets, tiles)
            })?
        })?
    }

    fn tiles(
        &self,
        x: &PackedRows<'_>,
        reference: Option<&PackedRows<'_>>,
        block: &Block,
        targets: &[Target],
        tiles: Range<usize>,
    ) -> Result<Found, KernelError> {
        let Search { ctx, unembedding, k, statistics, .. } = self;
        let vocabulary = unembedding.w.n();
        let (count, others) = (block.rows.len(), reference.map_or(0, |_| block.references.len()));
        let mut found = Found {
            tiles: vec![Tile::default(); if *statistics { count * tiles.len() } else { 0 }],
            ranks: vec![0; count],
            best: (0..count).map(|_| Best::new(*k, vocabulary, f32::NEG_INFINITY)).collect(),
        };
        let mut of_reference = vec![(0.0, 0.0); others];
        let done = with_scratch((count + 2 * others) * COLUMNS, |scratch| {
            let (own, scratch) = scratch.split_at_mut(count * COLUMNS);
            let (below, weight) = scratch.split_at_mut(others * COLUMNS);
            for tile in tiles.clone() {
                let part = tile * COLUMNS..vocabulary.min((tile + 1) * COLUMNS);
                unembedding.fill(ctx, x, &part, own)?;
                if let Some(reference) = reference {
                    unembedding.fill(ctx, reference, &part, below)?;
                    for ((below, weight), known) in
                        below.chunks_exact_mut(COLUMNS).zip(weight.chunks_exact_mut(COLUMNS)).zip(&mut of_reference)
                    {
                        let below = &mut below[..part.len()];
                        let [max, sum, _] = sums(ctx.isa, below);
                        *known = (max, sum);
                        below_max(ctx.isa, below, max, &mut weight[..part.len()]);
                    }
                }
                for (at, row) in own.chunks_exact(COLUMNS).enumerate() {
                    let row = &row[..part.len()];
                    if *k > 0 {
                        offer_row(ctx.isa, &mut found.best[at], row, part.start);
                    }
                    if let Some((target, id)) = targets[at] {
                        found.ranks[at] += before(ctx.isa, row, target, id as isize - part.start as isize);
                    }
                    if !statistics {
                        continue;
                    }
                    let [max, sum, first] = sums(ctx.isa, row);
                    let mut made = Tile { max, sum, first, ..Tile::default() };
                    if others > 0 {
                        let other = at % others;
                        let (below, weight) =
                            (&below[other * COLUMNS..][..part.len()], &weight[other * COLUMNS..][..part.len()]);
                        (made.reference_max, made.reference_sum) = of_reference[other];
                        made.difference = differences(ctx.isa, weight, below, row, max);
                    }
                    found.tiles[at * tiles.len() + (tile - tiles.start)] = made;
                }
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "piece of vocab_statistics" })??;
        Ok(found)
    }
}

/// Reads rows through an unembedding without holding rows × vocabulary: of each row's logits l, with p = softmax(l),
/// log Σ exp l, the entropy −Σ p log p, log p and rank of an id (how many come before it in the order of top-k), the divergence
/// Σ q log(q / p) from the distribution q of a reference row, and the k first logits with their ids. What is not asked for is
/// NaN. A row with NaN or +∞, and one of −∞ alone, has no distribution: its statistics are NaN, but for log Σ exp = −∞ of the
/// latter and for ranks, which follow from the order. Logits and choice exact given the chains; statistics bounded:
/// u·(100 + 4s(1 + s) + 8·|result|) with s = Σp|l − max| and V up to 2²⁰, the divergence by the sum of both rows' and
/// 100u·Σq|log(q / p)|.
pub fn vocab_statistics(
    ctx: &Context<'_>,
    unembedding: Unembedding<'_>,
    rows: VocabRows<'_>,
    out: VocabOut<'_>,
) -> Result<(), KernelError> {
    let (width, vocabulary) = (unembedding.w.k(), unembedding.w.n());
    // A rank is a float, and an index an i32.
    if vocabulary > 1 << 24 {
        return Err(KernelError::TooLarge { what: "vocabulary of vocab_statistics" });
    }
    if let Some(bias) = unembedding.bias {
        expect_len("bias of vocab_statistics", bias.len(), &[vocabulary])?;
    }
    let VocabOut { statistics, k, values, indices } = out;
    let count = match (&statistics, &values, &indices) {
        (Some(statistics), _, _) => row_count("statistics of vocab_statistics", statistics.len(), STATISTICS)?,
        (None, Some(values), _) => row_count("values of vocab_statistics", values.len(), k)?,
        (None, None, Some(indices)) => row_count("indices of vocab_statistics", indices.len(), k)?,
        (None, None, None) => return ctx.result(),
    };
    expect_len("x of vocab_statistics", rows.x.len(), &[count, width])?;
    for (what, length) in [
        ("values of vocab_statistics", values.as_ref().map(|values| values.len())),
        ("indices of vocab_statistics", indices.as_ref().map(|indices| indices.len())),
    ] {
        if let Some(length) = length {
            expect_len(what, length, &[count, k])?;
        }
    }
    if let Some(ids) = rows.ids {
        expect_len("ids of vocab_statistics", ids.len(), &[count])?;
        for &id in ids.iter().filter(|&&id| id != IGNORED) {
            index_below("token id", id, vocabulary)?;
        }
    }
    let references = match rows.reference {
        None => 0,
        Some(_) if width == 0 => count,
        Some(reference) => row_count("reference of vocab_statistics", reference.len(), width)?,
    };
    if rows.reference.is_some() && count > 0 && (references == 0 || !count.is_multiple_of(references)) {
        return Err(KernelError::Shape { what: "reference of vocab_statistics", expected: count, got: references });
    }
    let k = if values.is_some() || indices.is_some() { k } else { 0 };
    let statistics = statistics.map(|statistics| OutRows::new(statistics, STATISTICS));
    let (values, indices) = (values.map(|v| OutRows::new(v, k)), indices.map(|i| OutRows::new(i, k)));

    let blocks = blocks_of(count, references);
    let search = Search { ctx, unembedding, rows, k, statistics: statistics.is_some() };
    let targets = blocks.iter().map(|block| search.targets(block)).collect::<Result<Vec<_>, _>>()?;
    // Where there are few blocks, threads share the vocabulary; tiles are merged in their order, whoever made them.
    let tiles = vocabulary.div_ceil(COLUMNS);
    let ranges = if ctx.threads > 1 { (4 * ctx.threads).div_ceil(blocks.len().max(1)) } else { 1 };
    let per_range = tiles.div_ceil(ranges).max(1);
    let ranges = tiles.div_ceil(per_range).max(1);
    let write = |block: usize, parts: &[&Found]| {
        for (at, &row) in blocks[block].rows.iter().enumerate() {
            // SAFETY: each row is in one block.
            let (statistics, values, indices) = unsafe {
                (
                    statistics.as_ref().map(|out| out.take(row..row + 1)),
                    values.as_ref().map(|out| out.take(row..row + 1)),
                    indices.as_ref().map(|out| out.take(row..row + 1)),
                )
            };
            if let Some(statistics) = statistics {
                let tiles: Vec<Tile> = parts
                    .iter()
                    .flat_map(|part| {
                        let per_row = part.tiles.len() / part.ranks.len();
                        &part.tiles[at * per_row..(at + 1) * per_row]
                    })
                    .copied()
                    .collect();
                let rank = parts.iter().map(|part| part.ranks[at]).sum();
                let target = targets[block][at].map(|(logit, _)| (logit, rank));
                statistics.copy_from_slice(&merge(&tiles, target, rows.reference.is_some()));
            }
            let mut best = Best::new(k, vocabulary, f32::NEG_INFINITY);
            for part in parts {
                best.absorb(&part.best[at]);
            }
            let (mut no_values, mut no_indices) = (Vec::new(), Vec::new());
            let values = values.unwrap_or_else(|| {
                no_values.resize(k, 0.0);
                &mut no_values
            });
            let indices = indices.unwrap_or_else(|| {
                no_indices.resize(k, 0);
                &mut no_indices
            });
            best.write(values, indices);
        }
    };
    if ranges == 1 {
        return try_tasks(ctx, blocks.len(), &|block| {
            write(block, &[&search.block(&blocks[block], &targets[block], 0..tiles)?]);
            Ok(())
        });
    }
    let found: Vec<OnceLock<Found>> = (0..blocks.len() * ranges).map(|_| OnceLock::new()).collect();
    try_tasks(ctx, found.len(), &|task| {
        let (block, range) = (task / ranges, task % ranges);
        let part = range * per_range..tiles.min((range + 1) * per_range);
        let made = search.block(&blocks[block], &targets[block], part)?;
        found[task].get_or_init(|| made);
        Ok(())
    })?;
    for (block, parts) in found.chunks_exact(ranges).enumerate() {
        write(block, &parts.iter().filter_map(OnceLock::get).collect::<Vec<_>>());
    }
    ctx.result()
}
