use super::cross_entropy::IGNORED;
use super::math::{exp, log};
use super::per_isa::per_isa;
use super::soft_cap::cap_row;
use super::softmax::row_max;
use super::split::{Rows as OutRows, expect_len, index_below, row_count, try_tasks};
use super::top_k::{Best, offer_row};
use super::tree::{LANES, add_lanes, tree_sum};
use crate::error::KernelError;
use crate::gemm::{Context, Part, Rows, RowsMut, matmul_columns, matmul_part};
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

/// Rows and columns of one piece of the logits: 128 KB, which stay in the second cache while they are read.
const ROWS: usize = 32;
const COLUMNS: usize = 1024;

/// What is kept of one tile of the vocabulary: its own maximum and sums relative to that, so that tiles are merged once, in
/// their order, whoever computed them.
#[derive(Clone, Copy, Default)]
struct Tile {
    /// The largest logit; 0 where all are −∞, and then `sum` is 0.
    max: f32,
    /// Σ exp(l − max)
    sum: f32,
    /// Σ exp(l − max)·(l − max)
    first: f32,
    /// The same of the reference.
    reference_max: f32,
    reference_sum: f32,
    /// Σ exp(r − reference max)·((r − reference max) − (l − max))
    difference: f32,
}

#[inline(always)]
fn finite_max(row: &[f32]) -> f32 {
    let max = row_max(row);
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

per_isa! {
    /// max, Σ exp(x − max) and Σ exp(x − max)·(x − max), where a weight of 0 reads nothing.
    fn sums(row: &[f32]) -> [f32; 3] {
        let max = finite_max(row);
        let (mut sum, mut first) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (chunks, rest) = row.as_chunks::<LANES>();
        let term = |x: f32, sum: &mut f32, first: &mut f32| {
            let below = x - max;
            let weight = exp(below);
            *sum += weight;
            *first = weight.mul_add(if weight == 0.0 { 0.0 } else { below }, *first);
        };
        for chunk in chunks {
            for lane in 0..LANES {
                term(chunk[lane], &mut sum[lane], &mut first[lane]);
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            term(*x, &mut sum[lane], &mut first[lane]);
        }
        [max, add_lanes(sum), add_lanes(first)]
    }
}

per_isa! {
    /// Σ exp(r − r_max)·((r − r_max) − (x − x_max)), where a weight of 0 reads nothing.
    fn differences(r: &[f32], r_max: f32, x: &[f32], x_max: f32) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let (r_chunks, r_rest) = r.as_chunks::<LANES>();
        let (x_chunks, x_rest) = x.as_chunks::<LANES>();
        let term = |r: f32, x: f32, lane: &mut f32| {
            let below = r - r_max;
            let weight = exp(below);
            *lane = weight.mul_add(if weight == 0.0 { 0.0 } else { below - (x - x_max) }, *lane);
        };
        for (r, x) in r_chunks.iter().zip(x_chunks) {
            for lane in 0..LANES {
                term(r[lane], x[lane], &mut lanes[lane]);
            }
        }
        for ((lane, r), x) in lanes.iter_mut().zip(r_rest).zip(x_rest) {
            term(*r, *x, lane);
        }
        add_lanes(lanes)
    }
}

per_isa! {
    /// How many entries of a row come before `target`, which stands `at` entries behind its start (negative: before it), in the
    /// order of top-k.
    fn before(row: &[f32], target: f32, at: isize) -> usize {
        let (ahead, behind) = row.split_at(at.clamp(0, row.len() as isize) as usize);
        // Equal ones count among those ahead; NaN compares with nothing, and comes before every number.
        let (mut count, mut later) = (0u32, 0u32);
        if target.is_nan() {
            for x in ahead {
                count += u32::from(x.is_nan());
            }
        } else {
            for x in ahead {
                count += u32::from(*x >= target) | u32::from(x.is_nan());
            }
            for x in behind {
                later += u32::from(*x > target) | u32::from(x.is_nan());
            }
        }
        count as usize + later as usize
    }
}

/// The weight exp(max − largest) of each tile, and that largest; 0 for a tile of −∞.
fn weights<'a>(tiles: impl Iterator<Item = (f32, f32)> + Clone + 'a) -> (f32, Vec<f32>) {
    let live = |&(_, sum): &(f32, f32)| sum != 0.0;
    let largest =
        tiles.clone().filter(live).fold(f32::NEG_INFINITY, |most, (max, _)| if max > most { max } else { most });
    (largest, tiles.map(|(max, sum)| if sum == 0.0 { 0.0 } else { exp(max - largest) }).collect())
}

/// Σ weight·term by the fixed tree; a weight of 0 reads nothing.
fn weighted(weights: &[f32], term: impl Fn(usize) -> f32) -> f32 {
    let terms: Vec<f32> =
        weights.iter().enumerate().map(|(at, &weight)| if weight == 0.0 { 0.0 } else { weight * term(at) }).collect();
    tree_sum(&terms)
}

/// The statistics of one row from its tiles in the order of the vocabulary.
fn merge(tiles: &[Tile], target: Option<(f32, usize)>, against: bool) -> [f32; STATISTICS] {
    let (max, own) = weights(tiles.iter().map(|tile| (tile.max, tile.sum)));
    let sum = weighted(&own, |at| tiles[at].sum);
    let first = weighted(&own, |at| (tiles[at].max - max).mul_add(tiles[at].sum, tiles[at].first));
    let log_sum = log(sum);
    let (log_prob, rank) = target.map_or((f32::NAN, f32::NAN), |(logit, rank)| ((logit - max) - log_sum, rank as f32));
    let divergence = if against {
        let (reference_max, others) = weights(tiles.iter().map(|tile| (tile.reference_max, tile.reference_sum)));
        let total = weighted(&others, |at| tiles[at].reference_sum);
        let difference = weighted(&others, |at| {
            let tile = tiles[at];
            let shift = (tile.reference_max - reference_max) - (tile.max - max);
            shift.mul_add(tile.reference_sum, tile.difference)
        });
        let divergence = difference / total - (log(total) - log_sum);
        // It cannot be below 0 but by rounding.
        if divergence < 0.0 { 0.0 } else { divergence }
    } else {
        f32::NAN
    };
    [max + log_sum, log_sum - first / sum, log_prob, rank, divergence]
}

struct Piece<'a> {
    ctx: &'a Context<'a>,
    unembedding: Unembedding<'a>,
}

impl Piece<'_> {
    /// The logits of `rows` for the columns `part`, rows [`COLUMNS`] apart.
    fn fill(&self, rows: Rows<'_>, part: &std::ops::Range<usize>, piece: &mut [f32]) -> Result<(), KernelError> {
        let Unembedding { w, bias, cap } = self.unembedding;
        let count = rows.rows;
        let c = RowsMut { data: &mut *piece, rows: count, step: COLUMNS };
        matmul_part(self.ctx, rows, w, Part { k: 0..w.k(), n: part.clone() }, bias.map(|b| &b[part.clone()]), c)?;
        if let Some(cap) = cap {
            for row in piece.chunks_exact_mut(COLUMNS).take(count) {
                cap_row(self.ctx.isa, &mut row[..part.len()], cap);
            }
        }
        Ok(())
    }

    /// The one logit of a row that `fill` gives column `id`.
    fn one(&self, row: &[f32], id: usize) -> Result<f32, KernelError> {
        let Unembedding { w, bias, cap } = self.unembedding;
        let bias = bias.map(|bias| [bias[id]]);
        let mut logit = [0.0];
        let rows = Rows { data: row, rows: 1, step: w.k() };
        let c = RowsMut { data: &mut logit, rows: 1, step: 1 };
        matmul_columns(self.ctx, rows, w, &[id], bias.as_ref().map(|bias| &bias[..]), c)?;
        if let Some(cap) = cap {
            cap_row(self.ctx.isa, &mut logit, cap);
        }
        Ok(logit[0])
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

    // Few rows: one block after the other, its product shared by the threads. Many: a block each.
    let blocks = count.div_ceil(ROWS);
    let outer = Context { threads: if blocks >= 2 * ctx.threads { ctx.threads } else { 1 }, ..*ctx };
    let piece_of = Piece { ctx, unembedding };
    let tiles = vocabulary.div_ceil(COLUMNS);
    try_tasks(&outer, blocks, &|block| {
        let here = block * ROWS..count.min((block + 1) * ROWS);
        let wants = statistics.is_some();
        let x = Rows { data: &rows.x[here.start * width..here.end * width], rows: here.len(), step: width };
        let targets = here
            .clone()
            .map(|row| match rows.ids.map(|ids| ids[row]).filter(|&id| wants && id != IGNORED) {
                None => Ok(None),
                Some(id) => piece_of.one(&rows.x[row * width..(row + 1) * width], id as usize).map(|x| Some((x, id))),
            })
            .collect::<Result<Vec<_>, KernelError>>()?;
        let mut ranks = vec![0usize; here.len()];
        let mut kept = vec![Tile::default(); here.len() * tiles];
        let mut best: Vec<Best> = here.clone().map(|_| Best::new(k, vocabulary, f32::NEG_INFINITY)).collect();
        let reference = rows.reference.filter(|_| wants).map(|data| -> Vec<f32> {
            here.clone().flat_map(|row| &data[row % references * width..][..width]).copied().collect()
        });
        let room = here.len() * COLUMNS;
        let done = with_scratch(2 * room, |scratch| {
            let (own, other) = scratch.split_at_mut(room);
            for tile in 0..tiles {
                let part = tile * COLUMNS..vocabulary.min((tile + 1) * COLUMNS);
                piece_of.fill(x, &part, own)?;
                if let Some(reference) = &reference {
                    piece_of.fill(Rows { data: reference, rows: here.len(), step: width }, &part, other)?;
                }
                for (at, row) in own.chunks_exact(COLUMNS).enumerate() {
                    let row = &row[..part.len()];
                    if k > 0 {
                        offer_row(ctx.isa, &mut best[at], row, part.start);
                    }
                    if let Some((target, id)) = targets[at] {
                        ranks[at] += before(ctx.isa, row, target, id as isize - part.start as isize);
                    }
                    if !wants {
                        continue;
                    }
                    let [max, sum, first] = sums(ctx.isa, row);
                    let mut made = Tile { max, sum, first, ..Tile::default() };
                    if reference.is_some() {
                        let other = &other[at * COLUMNS..][..part.len()];
                        [made.reference_max, made.reference_sum, _] = sums(ctx.isa, other);
                        made.difference = differences(ctx.isa, other, made.reference_max, row, max);
                    }
                    kept[at * tiles + tile] = made;
                }
            }
            Ok(())
        });
        done.ok_or(KernelError::TooLarge { what: "piece of vocab_statistics" })??;
        for (at, row) in here.enumerate() {
            // SAFETY: each task has rows of its own.
            let (statistics, values, indices) = unsafe {
                (
                    statistics.as_ref().map(|out| out.take(row..row + 1)),
                    values.as_ref().map(|out| out.take(row..row + 1)),
                    indices.as_ref().map(|out| out.take(row..row + 1)),
                )
            };
            if let Some(statistics) = statistics {
                let target = targets[at].map(|(logit, _)| (logit, ranks[at]));
                statistics.copy_from_slice(&merge(&kept[at * tiles..(at + 1) * tiles], target, reference.is_some()));
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
            best[at].write(values, indices);
        }
        Ok(())
    })
}
