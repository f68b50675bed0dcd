//! From a step to the operation that it names.

use std::sync::Arc;

use super::buffer::Buffer;
use super::kernel::{Kernel, Latents, ValueShape};
use super::program::{Dim, Program, Step};
use super::shapes::Sizes;
use super::weight::{Weight, WeightTable};
use crate::error::KernelError;
use crate::gemm::Context;
use crate::ops;
use crate::pack::PackedMatrix;
use crate::screen::{Bits, Screen};

/// The inputs and weights of one step. Which are there was checked when the program was parsed; an absent one reads as
/// empty, which no kernel mistakes for one that has entries.
pub(super) struct StepValues<'a> {
    pub program: &'a Program,
    pub step: &'a Step,
    pub slots: &'a [Buffer],
    /// Entries of each value.
    pub lengths: &'a [usize],
    pub weights: &'a [Arc<Weight>],
}

impl<'a> StepValues<'a> {
    fn value(&self, at: usize) -> Option<(&'a Buffer, usize)> {
        let value = self.step.inputs.get(at).copied().flatten()?;
        Some((&self.slots[self.program.values[value].slot], self.lengths[value]))
    }

    pub(super) fn maybe_floats(&self, at: usize) -> Option<&'a [f32]> {
        self.value(at).map(|(buffer, length)| buffer.floats(length))
    }

    pub(super) fn floats(&self, at: usize) -> &'a [f32] {
        self.maybe_floats(at).unwrap_or_default()
    }

    pub(super) fn all_floats(&self) -> impl Iterator<Item = &'a [f32]> {
        (0..self.step.inputs.len()).map(|at| self.floats(at))
    }

    /// Vectors a position of a value [rows, pos, vectors, width]; one where it has no such dimension.
    fn vectors(&self, at: usize) -> usize {
        let value = self.step.inputs.get(at).copied().flatten();
        match value.map(|value| self.program.values[value].shape.as_slice()) {
            Some([_, _, Dim::Fixed(vectors), _]) => *vectors,
            _ => 1,
        }
    }

    pub(super) fn doubles(&self, at: usize) -> &'a [f64] {
        self.maybe_doubles(at).unwrap_or_default()
    }

    pub(super) fn maybe_doubles(&self, at: usize) -> Option<&'a [f64]> {
        self.value(at).map(|(buffer, length)| buffer.doubles(length))
    }

    pub(super) fn maybe_ints(&self, at: usize) -> Option<&'a [i32]> {
        self.value(at).map(|(buffer, length)| buffer.ints(length))
    }

    fn ints(&self, at: usize) -> &'a [i32] {
        self.maybe_ints(at).unwrap_or_default()
    }

    fn weight(&self, at: usize) -> Option<&'a Arc<Weight>> {
        self.step.params.get(at).copied().flatten().map(|param| &self.weights[param])
    }

    fn matrix(&self, ctx: &Context<'_>, transposed: bool) -> Result<Arc<PackedMatrix>, KernelError> {
        self.matrix_at(ctx, 0, transposed)
    }

    pub(super) fn matrix_at(
        &self,
        ctx: &Context<'_>,
        at: usize,
        transposed: bool,
    ) -> Result<Arc<PackedMatrix>, KernelError> {
        let weight = self.weight(at).ok_or(KernelError::Shape { what: "matrix params", expected: at + 1, got: at })?;
        weight.packed(ctx, transposed)
    }

    fn screen(&self, ctx: &Context<'_>, bits: Bits) -> Result<Option<Arc<Screen>>, KernelError> {
        let weight = self.weight(0).ok_or(KernelError::Shape { what: "matrix params", expected: 1, got: 0 })?;
        weight.screen(ctx, bits)
    }

    pub(super) fn vector(&self, at: usize) -> Result<Option<Arc<Vec<f32>>>, KernelError> {
        self.weight(at).map(|weight| weight.vector()).transpose()
    }
}

/// Calls the kernel of one step with the sizes that were checked; outputs are lent whole, `lengths` are their entries.
pub(super) fn run_kernel(
    ctx: &Context<'_>,
    values: &StepValues<'_>,
    sizes: &Sizes,
    lent: &mut [Buffer; 4],
    lengths: [Option<usize>; 4],
) -> Result<(), KernelError> {
    let size = |letter: char| sizes.of(letter);
    let [first, second, third, fourth] = &mut *lent;
    let out = first.floats_mut(lengths[0].unwrap_or(0));
    let v = values;
    match &v.step.kernel {
        Kernel::Embed { transposed } => {
            let weight = v.weight(0).ok_or(KernelError::Shape { what: "table params", expected: 1, got: 0 })?.clone();
            ops::embed(ctx, v.ints(0), &WeightTable::new(weight, *transposed, ctx.isa), out)
        }
        Kernel::Sum => {
            let terms: Vec<&[f32]> = v.all_floats().collect();
            ops::sum(ctx, &terms, out)
        }
        Kernel::Mul => ops::mul(ctx, v.floats(0), v.floats(1), out),
        Kernel::Subtract => ops::subtract(ctx, v.floats(0), v.floats(1), out),
        Kernel::NormScale { kind, eps } => ops::norm_scale(ctx, v.floats(0), size('m'), *kind, *eps, out),
        Kernel::Normalize { kind } => ops::normalize(ctx, v.floats(0), v.floats(1), size('m'), *kind, out),
        Kernel::Affine => {
            let (w, b) = (v.vector(0)?, v.vector(1)?);
            ops::affine(ctx, v.floats(0), size('m'), floats_of(&w), floats_of(&b), out)
        }
        Kernel::Norm { kind, eps } => {
            let (w, b) = (v.vector(0)?, v.vector(1)?);
            let norm = ops::Norm { width: size('m'), kind: *kind, eps: *eps, w: floats_of(&w), b: floats_of(&b) };
            let scale = lengths[1].map(|length| second.floats_mut(length));
            let normalized = lengths[2].map(|length| third.floats_mut(length));
            ops::norm(ctx, norm, v.floats(0), ops::NormOut { out, scale, normalized })
        }
        Kernel::Linear { transposed, alpha, beta, function } => {
            let bias = v.vector(1)?;
            let linear = ops::Linear {
                bias: floats_of(&bias),
                alpha: *alpha,
                beta: *beta,
                onto: v.maybe_floats(1),
                function: *function,
            };
            ops::linear(ctx, v.floats(0), size('R'), &*v.matrix(ctx, *transposed)?, linear, out)
        }
        // Transposed, a head reads its own rows of Wᵀ: what head_result does.
        Kernel::HeadLinear { transposed: true } => {
            ops::head_result(ctx, v.floats(0), size('R') * size('P'), size('H'), &*v.matrix(ctx, true)?, None, out)
        }
        Kernel::HeadLinear { transposed: false } => {
            let bias = v.vector(1)?;
            ops::head_linear(
                ctx,
                v.floats(0),
                size('R') * size('P'),
                size('H'),
                &*v.matrix(ctx, false)?,
                floats_of(&bias),
                out,
            )
        }
        Kernel::HeadResult { head } => {
            ops::head_result(ctx, v.floats(0), size('R') * size('P'), size('H'), &*v.matrix(ctx, false)?, *head, out)
        }
        Kernel::HeadResultGrad { head } => {
            let tokens = size('R') * size('P');
            ops::head_result_grad(ctx, v.floats(0), tokens, size('H'), &*v.matrix(ctx, true)?, *head, out)
        }
        Kernel::Rotary { layout, dims, inverse } => {
            let (cos, sin) = (v.vector(0)?.unwrap_or_default(), v.vector(1)?.unwrap_or_default());
            let rotary = ops::Rotary {
                heads: size('H'),
                width: size('d'),
                dims: *dims,
                layout: *layout,
                inverse: *inverse,
                cos: &cos,
                sin: &sin,
            };
            ops::rotary(ctx, rotary, v.floats(0), v.ints(1), out)
        }
        Kernel::Rotate { layout, inverse } => {
            let rotary = ops::Rotary {
                heads: size('H'),
                width: size('d'),
                dims: 2 * size('w'),
                layout: *layout,
                inverse: *inverse,
                cos: v.floats(1),
                sin: v.floats(2),
            };
            ops::rotate(ctx, rotary, v.floats(0), out)
        }
        Kernel::Scores { scale, reach } => {
            let masking = ops::Masking { scale: *scale, reach: *reach, keys: v.maybe_ints(2) };
            ops::scores(ctx, heads(sizes, 'd'), v.floats(0), v.floats(1), masking, out)
        }
        Kernel::SoftCap { cap } => ops::soft_cap(ctx, v.floats(0), *cap, out),
        Kernel::SoftCapGrad { cap } => ops::soft_cap_grad(ctx, v.floats(0), v.floats(1), *cap, out),
        Kernel::Softmax => ops::softmax(ctx, v.floats(0), size('n'), out),
        Kernel::Mix => ops::mix(ctx, heads(sizes, 'w'), v.floats(0), v.floats(1), out),
        Kernel::MixTransposed => ops::mix_transposed(ctx, heads(sizes, 'w'), v.floats(0), v.floats(1), out),
        Kernel::AttentionGrad(scoring) => {
            let [dk, dv, ds] = [(second, lengths[1]), (third, lengths[2]), (fourth, lengths[3])]
                .map(|(buffer, length)| length.map(|length| buffer.floats_mut(length)));
            let to = ops::AttentionGradOut { dq: lengths[0].map(|_| out), dk, dv, ds };
            let from = ops::AttentionGradIn {
                q: v.floats(0),
                k: v.floats(1),
                v: v.floats(2),
                pattern: v.floats(3),
                ct: v.floats(4),
            };
            ops::attention_grad(ctx, heads(sizes, 'd'), size('w'), from, *scoring, to)
        }
        Kernel::Attention { scale, reach, cap } => {
            let masking = ops::Masking { scale: *scale, reach: *reach, keys: v.maybe_ints(3) };
            let scores = lengths[1].map(|length| second.floats_mut(length));
            let pattern = lengths[2].map(|length| third.floats_mut(length));
            let to = ops::AttentionOut { z: out, scores, pattern };
            let (table, slopes) = (v.vector(0)?, v.vector(1)?);
            let on = ops::OnScores {
                cap: *cap,
                bias: v.maybe_ints(4).zip(floats_of(&table)).map(|(buckets, table)| ops::Bias { buckets, table }),
                alibi: v
                    .maybe_ints(5)
                    .zip(floats_of(&slopes))
                    .map(|(positions, slopes)| ops::Alibi { positions, slopes }),
            };
            ops::attention(ctx, heads(sizes, 'd'), size('w'), [v.floats(0), v.floats(1), v.floats(2)], masking, on, to)
        }
        Kernel::Activation { function } => ops::activation(ctx, *function, v.floats(0), out),
        Kernel::ActivationGrad { function } => ops::activation_grad(ctx, *function, v.floats(0), v.floats(1), out),
        Kernel::JumpRelu => ops::jump_relu(ctx, v.floats(0), &v.vector(0)?.unwrap_or_default(), out),
        Kernel::TopKMask { k } => ops::top_k_mask(ctx, v.floats(0), size('n'), *k, out),
        Kernel::WhereNonzero => ops::where_nonzero(ctx, v.floats(0), v.floats(1), out),
        Kernel::Scale { factor } => ops::scale(ctx, v.floats(0), *factor, out),
        Kernel::LinearGradWeight => {
            ops::linear_grad_weight(ctx, v.floats(0), v.floats(1), [size('Q'), size('K'), size('N')], out)
        }
        Kernel::HeadLinearGradWeight => {
            let sizes = ops::HeadGradSizes { groups: size('Q'), heads: size('H'), rows: size('K'), columns: size('d') };
            ops::head_linear_grad_weight(ctx, sizes, v.floats(0), v.floats(1), out)
        }
        Kernel::HeadResultGradWeight { head } => {
            let sizes = ops::HeadGradSizes { groups: size('Q'), heads: size('H'), rows: size('d'), columns: size('m') };
            ops::head_result_grad_weight(ctx, sizes, v.floats(0), v.floats(1), *head, out)
        }
        Kernel::ColumnSum => ops::column_sum(ctx, v.floats(0), v.maybe_floats(1), [size('Q'), size('N')], out),
        Kernel::NormalizeGrad { kind } => ops::normalize_grad(ctx, v.floats(0), v.floats(1), size('m'), *kind, out),
        Kernel::NormalizeGradScale { kind } => {
            ops::normalize_grad_scale(ctx, v.floats(0), v.floats(1), v.floats(2), size('m'), *kind, out)
        }
        Kernel::NormScaleGrad { kind } => {
            ops::norm_scale_grad(ctx, v.floats(0), v.floats(1), v.floats(2), size('m'), *kind, out)
        }
        Kernel::NormGrad { kind } => {
            let w = v.vector(0)?;
            let norm = ops::NormGrad { width: size('m'), kind: *kind, w: floats_of(&w) };
            ops::norm_grad(ctx, norm, v.floats(0), v.floats(1), v.floats(2), out)
        }
        Kernel::SoftmaxGrad => ops::softmax_grad(ctx, v.floats(0), v.floats(1), size('n'), out),
        Kernel::EmbedGrad { transposed } => {
            let sizes = ops::EmbedGradSizes {
                groups: size('Q'),
                vocabulary: size('V'),
                width: size('m'),
                transposed: *transposed,
            };
            ops::embed_grad(ctx, sizes, v.ints(0), v.floats(1), out)
        }
        Kernel::ScatterRows => {
            let sizes = ops::GatherRowsSizes { rows: size('R'), pos: size('P'), groups: size('G'), width: size('w') };
            ops::scatter_rows(ctx, sizes, v.floats(0), v.ints(1), out)
        }
        Kernel::ColumnsGrad => {
            ops::columns_grad(ctx, v.floats(0), [size('R'), size('G')], v.ints(1), &*v.matrix(ctx, false)?, out)
        }
        Kernel::ColumnsGradWeight => {
            ops::columns_grad_weight(ctx, columns_grad(sizes), v.floats(0), v.ints(1), v.floats(2), out)
        }
        Kernel::ColumnsGradBias => ops::columns_grad_bias(ctx, columns_grad(sizes), v.ints(0), v.floats(1), out),
        Kernel::CrossEntropyGrad => ops::cross_entropy_grad(ctx, v.floats(0), v.ints(1), v.floats(2), size('V'), out),
        Kernel::EdgeReadGrad { delta, .. } => {
            let sizes = ops::EdgeReadSizes { rows: size('R'), pos: size('P'), width: size('m'), copies: size('H') };
            let writer = delta.zip(v.maybe_floats(1)).map(|(at, mask)| ops::EdgeWriter { mask, at });
            ops::edge_read_grad(ctx, sizes, v.floats(0), writer, out)
        }
        Kernel::Outer => ops::outer(ctx, v.floats(0), v.floats(1), out),
        Kernel::Repeat | Kernel::Reshape => ops::repeat(ctx, v.floats(0), out),
        Kernel::GatherRows => {
            let sizes = ops::GatherRowsSizes { rows: size('R'), pos: size('P'), groups: size('G'), width: size('w') };
            ops::gather_rows(ctx, sizes, v.floats(0), v.ints(1), out)
        }
        Kernel::AddAlibi => {
            ops::add_alibi(ctx, alibi(sizes), v.floats(0), v.ints(1), &v.vector(0)?.unwrap_or_default(), out)
        }
        Kernel::AddAlibiGrad => ops::add_alibi_grad(ctx, size('Q'), alibi(sizes), v.ints(0), v.floats(1), out),
        Kernel::AddBias => {
            ops::add_bias(ctx, bias(sizes), v.floats(0), v.ints(1), &v.vector(0)?.unwrap_or_default(), out)
        }
        Kernel::AddBiasGrad => ops::add_bias_grad(ctx, size('Q'), bias(sizes), v.ints(0), v.floats(1), out),
        Kernel::ConcatPositions => {
            let sizes =
                ops::ConcatPositionsSizes { rows: size('R'), past: size('T'), pos: size('P'), width: size('w') };
            ops::concat_positions(ctx, sizes, v.floats(0), v.floats(1), out)
        }
        Kernel::Columns => {
            let bias = v.vector(1)?;
            ops::columns(
                ctx,
                v.floats(0),
                [size('R'), size('G')],
                v.ints(1),
                &*v.matrix(ctx, false)?,
                floats_of(&bias),
                out,
            )
        }
        Kernel::CrossEntropy => ops::cross_entropy(ctx, v.floats(0), v.ints(1), size('V'), out),
        Kernel::TopK { k } => {
            ops::top_k(ctx, v.floats(0), size('n'), *k, out, second.ints_mut(lengths[1].unwrap_or(0)))
        }
        Kernel::Edit { operation, value, constant, .. } => {
            let value = match value {
                ValueShape::None => ops::EditValue::Scalar(*constant),
                ValueShape::Scalar => ops::EditValue::Scalar(v.floats(1).first().copied().unwrap_or(0.0)),
                ValueShape::Vector => ops::EditValue::Vector(v.floats(1)),
                ValueShape::Rows => ops::EditValue::Rows(v.floats(1)),
            };
            let edit = ops::Edit {
                dims: [size('a'), size('b'), size('c')],
                operation: *operation,
                value,
                masks: [v.maybe_ints(2), v.maybe_ints(3), v.maybe_ints(4)],
                coefficient: v.maybe_floats(5),
            };
            ops::edit(ctx, size('R'), edit, v.floats(0), out)
        }
        Kernel::Direction { operation, .. } => {
            let direction = ops::Direction {
                dims: [size('a'), size('b'), size('c')],
                operation: *operation,
                unit: v.floats(1),
                masks: [v.maybe_ints(2), v.maybe_ints(3)],
                coefficient: v.maybe_floats(4),
            };
            ops::direction(ctx, size('R'), direction, v.floats(0), out)
        }
        Kernel::EdgeRead { .. } => {
            let last = v.step.inputs.len() - 1;
            let deltas: Vec<&[f32]> = (1..last).map(|at| v.floats(at)).collect();
            let sizes = ops::EdgeReadSizes { rows: size('R'), pos: size('P'), width: size('m'), copies: size('H') };
            ops::edge_read(ctx, sizes, v.floats(0), &deltas, v.maybe_floats(last).unwrap_or_default(), out)
        }
        Kernel::PairDots => {
            let sizes = ops::PairDotsSizes { rows: size('R'), pos: size('P'), vectors: size('H'), width: size('m') };
            let others: Vec<ops::PairDotsOthers<'_>> = (1..v.step.inputs.len())
                .map(|at| ops::PairDotsOthers { data: v.floats(at), count: v.vectors(at) })
                .collect();
            ops::pair_dots(ctx, sizes, v.floats(0), &others, out)
        }
        Kernel::ProjectDot => ops::project_dot(ctx, v.floats(0), v.floats(1), out),
        Kernel::BiasActTopK { activation, k, screen } => {
            let (bias, thresholds) = (v.vector(1)?, v.vector(2)?.unwrap_or_default());
            let activation = activation_of(*activation, &thresholds);
            let indices = second.ints_mut(lengths[1].unwrap_or(0));
            let count = third.ints_mut(lengths[2].unwrap_or(0));
            let to = ops::Kept { values: out, indices, count };
            // A first look that the processor has no instruction for would take longer than the whole.
            let screen = match screen.bits(size('T'), size('F')).filter(|bits| bits.is_fast(ctx.isa)) {
                Some(bits) => v.screen(ctx, bits)?,
                None => None,
            };
            match screen {
                Some(w) => ops::screened_top_k(ctx, v.floats(0), &w, floats_of(&bias), activation, *k, to),
                None => {
                    ops::bias_act_top_k(ctx, v.floats(0), &*v.matrix(ctx, false)?, floats_of(&bias), activation, *k, to)
                }
            }
        }
        Kernel::ProjectCsr { activation, per_token } => {
            let (bias, thresholds) = (v.vector(1)?, v.vector(2)?.unwrap_or_default());
            let activation = activation_of(*activation, &thresholds);
            let to = sparse_rows(out, second, third, lengths);
            let keep = keep_of(*per_token, &to);
            ops::project_csr(ctx, v.floats(0), &*v.matrix(ctx, false)?, floats_of(&bias), activation, keep, to)
        }
        Kernel::ActiveCsr { per_token } => {
            let to = sparse_rows(out, second, third, lengths);
            let keep = keep_of(*per_token, &to);
            ops::active_csr(ctx, v.floats(0), size('n'), keep, to)
        }
        Kernel::ActiveTopK { k } => {
            let indices = second.ints_mut(lengths[1].unwrap_or(0));
            let count = third.ints_mut(lengths[2].unwrap_or(0));
            ops::active_top_k(ctx, v.floats(0), size('n'), *k, ops::Kept { values: out, indices, count })
        }
        Kernel::VocabStatistics { k, cap } => {
            let (w, bias) = (v.matrix(ctx, false)?, v.vector(1)?);
            let unembedding = ops::Unembedding { w: &w, bias: floats_of(&bias), cap: *cap };
            let rows = ops::VocabRows { x: v.floats(0), ids: v.maybe_ints(1), reference: v.maybe_floats(2) };
            let to = ops::VocabOut {
                statistics: lengths[0].map(|_| out),
                k: *k,
                values: lengths[1].map(|length| second.floats_mut(length)),
                indices: lengths[2].map(|length| third.ints_mut(length)),
            };
            ops::vocab_statistics(ctx, unembedding, rows, to)
        }
        Kernel::Experts(experts) => experts.run(ctx, v, sizes, out),
        Kernel::Vision(vision) => vision.run(ctx, v, sizes, out),
        Kernel::Doubles(doubles) => doubles.run(ctx, v, sizes, lent, lengths),
    }
}

pub(super) fn activation_of(activation: Latents, thresholds: &[f32]) -> ops::LatentActivation<'_> {
    match activation {
        Latents::None => ops::LatentActivation::None,
        Latents::Relu => ops::LatentActivation::Relu,
        Latents::Threshold => ops::LatentActivation::Threshold(thresholds),
    }
}

fn sparse_rows<'a>(
    values: &'a mut [f32],
    latents: &'a mut Buffer,
    row_start: &'a mut Buffer,
    lengths: [Option<usize>; 4],
) -> ops::Csr<'a> {
    let latents = latents.ints_mut(lengths[1].unwrap_or(0));
    ops::Csr { values, latents, row_start: row_start.ints_mut(lengths[2].unwrap_or(0)) }
}

/// So many for each token, of all tokens together.
fn keep_of(per_token: Option<usize>, to: &ops::Csr<'_>) -> ops::Keep {
    let tokens = to.row_start.len().saturating_sub(1);
    per_token.map_or(ops::Keep::All, |k| ops::Keep::First(k.saturating_mul(tokens)))
}

pub(super) fn floats_of(vector: &Option<Arc<Vec<f32>>>) -> Option<&[f32]> {
    vector.as_ref().map(|vector| vector.as_slice())
}

fn heads(sizes: &Sizes, width: char) -> ops::Heads {
    let size = |letter: char| sizes.of(letter);
    ops::Heads {
        rows: size('R'),
        pos: size('P'),
        keys: size('S'),
        heads: size('H'),
        kv_heads: size('G'),
        width: size(width),
    }
}

fn bias(sizes: &Sizes) -> ops::AddBiasSizes {
    let size = |letter: char| sizes.of(letter);
    ops::AddBiasSizes { rows: size('R'), heads: size('H'), pos: size('P'), keys: size('S'), buckets: size('B') }
}

fn alibi(sizes: &Sizes) -> ops::AddAlibiSizes {
    let size = |letter: char| sizes.of(letter);
    ops::AddAlibiSizes { rows: size('R'), heads: size('H'), pos: size('P'), keys: size('S') }
}

fn columns_grad(sizes: &Sizes) -> ops::ColumnsGradSizes {
    let size = |letter: char| sizes.of(letter);
    ops::ColumnsGradSizes {
        groups: size('Q'),
        pos: size('G'),
        columns: size('C'),
        width: size('m'),
        vocabulary: size('V'),
    }
}
