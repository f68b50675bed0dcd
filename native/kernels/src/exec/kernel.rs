//! Which kernels a program may name: their ports, and their attributes as types.

use serde_json::{Map, Value as Json};

use super::attrs::Attrs;
use super::doubles::Doubles;
use super::experts::Experts;
use super::program::Dim;
use super::vision::Vision;
use crate::ops::{ActivationFunction, DirectionOperation, EditOperation, NormKind, Reach, RotaryLayout, Scoring};
use crate::screen::Bits;

/// Whether a projection looks at few bits first. Its result is the same to the bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum FirstLook {
    None,
    At(Bits),
    /// At bf16, where there is so much to project that a second copy of the weight is soon paid for.
    WhereItPays,
}

const FIRST_LOOKS: [(&str, FirstLook); 4] = [
    ("none", FirstLook::None),
    ("bf16", FirstLook::At(Bits::Bf16)),
    ("int8", FirstLook::At(Bits::Int8)),
    ("auto", FirstLook::WhereItPays),
];

/// Latents of all tokens of a call, from which on a first look pays.
const MANY_LATENTS: usize = 1 << 22;

impl FirstLook {
    pub(crate) fn bits(self, tokens: usize, latents: usize) -> Option<Bits> {
        match self {
            FirstLook::None => None,
            FirstLook::At(bits) => Some(bits),
            FirstLook::WhereItPays => (tokens.saturating_mul(latents) >= MANY_LATENTS).then_some(Bits::Bf16),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dtype {
    F32,
    I32,
    F64,
}

impl Dtype {
    /// Bytes of an entry.
    pub(crate) fn size(self) -> usize {
        match self {
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F64 => 8,
        }
    }
}

/// What one place in a step's `in` or `out` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    One(Dtype),
    Maybe(Dtype),
    /// Any number of times, from the first number given on.
    Many(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// [K, N], packed on first use.
    Matrix,
    /// A table that is read row by row.
    Rows,
    Vector,
    MaybeVector,
}

pub(crate) struct Ports {
    pub inputs: &'static [Port],
    pub params: &'static [Role],
    pub outputs: &'static [Port],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ValueShape {
    None,
    Scalar,
    Vector,
    Rows,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Latents {
    None,
    Relu,
    Threshold,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kernel {
    Embed { transposed: bool },
    Sum,
    Mul,
    Subtract,
    NormScale { kind: NormKind, eps: f32 },
    Normalize { kind: NormKind },
    Affine,
    Norm { kind: NormKind, eps: f32 },
    Linear { transposed: bool, alpha: f32, beta: f32, function: Option<ActivationFunction> },
    HeadLinear { transposed: bool },
    HeadResult { head: Option<usize> },
    Rotary { layout: RotaryLayout, dims: usize, inverse: bool },
    Rotate { layout: RotaryLayout, inverse: bool },
    Scores { scale: f32, reach: Reach },
    SoftCap { cap: f32 },
    SoftCapGrad { cap: f32 },
    Softmax,
    Mix,
    MixTransposed,
    Attention { scale: f32, reach: Reach, cap: Option<f32> },
    AttentionGrad(Scoring),
    Activation { function: ActivationFunction },
    ActivationGrad { function: ActivationFunction },
    JumpRelu,
    TopKMask { k: usize },
    WhereNonzero,
    Scale { factor: f32 },
    LinearGradWeight,
    HeadLinearGradWeight,
    HeadResultGrad { head: Option<usize> },
    HeadResultGradWeight { head: Option<usize> },
    ColumnSum,
    NormalizeGrad { kind: NormKind },
    NormalizeGradScale { kind: NormKind },
    NormScaleGrad { kind: NormKind },
    NormGrad { kind: NormKind },
    SoftmaxGrad,
    EmbedGrad { transposed: bool },
    ScatterRows,
    ColumnsGrad,
    ColumnsGradWeight,
    ColumnsGradBias,
    CrossEntropyGrad,
    EdgeReadGrad { heads: usize, delta: Option<usize> },
    Outer,
    Repeat,
    Reshape,
    GatherRows,
    ConcatPositions,
    AddAlibi,
    AddAlibiGrad,
    AddBias,
    AddBiasGrad,
    Columns,
    CrossEntropy,
    TopK { k: usize },
    Edit { operation: EditOperation, dims: [Dim; 3], value: ValueShape, constant: f32 },
    Direction { operation: DirectionOperation, dims: [Dim; 3] },
    EdgeRead { heads: usize },
    PairDots,
    ProjectDot,
    BiasActTopK { activation: Latents, k: usize, screen: FirstLook },
    ProjectCsr { activation: Latents, per_token: Option<usize> },
    ActiveCsr { per_token: Option<usize> },
    ActiveTopK { k: usize },
    VocabStatistics { k: usize, cap: Option<f32> },
    Experts(Experts),
    Vision(Vision),
    Doubles(Doubles),
}

const F: Port = Port::One(Dtype::F32);
const I: Port = Port::One(Dtype::I32);
const MAYBE_F: Port = Port::Maybe(Dtype::F32);
const MAYBE_I: Port = Port::Maybe(Dtype::I32);

pub(super) const LATENTS: [(&str, Latents); 3] =
    [("none", Latents::None), ("relu", Latents::Relu), ("threshold", Latents::Threshold)];

impl Kernel {
    /// By name and attributes; the error says what is wrong with them. Attributes that no kernel reads are passed over.
    pub(crate) fn parse(
        name: &str,
        attrs: &Map<String, Json>,
        dim: &mut dyn FnMut(&Json) -> Option<Dim>,
    ) -> Result<Kernel, String> {
        let attrs = Attrs { kernel: name, attrs };
        Ok(match name {
            "embed" => Kernel::Embed { transposed: attrs.maybe_flag("transposed")? },
            "sum" => Kernel::Sum,
            "mul" => Kernel::Mul,
            "subtract" => Kernel::Subtract,
            "norm_scale" => Kernel::NormScale { kind: attrs.norm_kind()?, eps: attrs.number("eps")? },
            "normalize" => Kernel::Normalize { kind: attrs.norm_kind()? },
            "affine" => Kernel::Affine,
            "norm" => Kernel::Norm { kind: attrs.norm_kind()?, eps: attrs.number("eps")? },
            "linear" => Kernel::Linear {
                transposed: attrs.maybe_flag("transposed")?,
                alpha: if attrs.has("alpha") { attrs.number("alpha")? } else { 1.0 },
                beta: if attrs.has("beta") { attrs.number("beta")? } else { 0.0 },
                function: if attrs.has("fn") { Some(attrs.activation()?) } else { None },
            },
            "head_linear" => Kernel::HeadLinear { transposed: attrs.maybe_flag("transposed")? },
            "head_result" => Kernel::HeadResult { head: attrs.maybe_count("head")? },
            "rotary" => Kernel::Rotary {
                layout: attrs.word("layout", &[("half", RotaryLayout::Half), ("adjacent", RotaryLayout::Adjacent)])?,
                dims: attrs.count("dims")?,
                inverse: attrs.maybe_flag("inverse")?,
            },
            "rotate" => Kernel::Rotate {
                layout: attrs.word("layout", &[("half", RotaryLayout::Half), ("adjacent", RotaryLayout::Adjacent)])?,
                inverse: attrs.maybe_flag("inverse")?,
            },
            "scores" => Kernel::Scores { scale: attrs.number("scale")?, reach: attrs.reach()? },
            "soft_cap" => Kernel::SoftCap { cap: attrs.cap()? },
            "soft_cap_grad" => Kernel::SoftCapGrad { cap: attrs.cap()? },
            "softmax" => Kernel::Softmax,
            "mix" => Kernel::Mix,
            "mix_transposed" => Kernel::MixTransposed,
            "attention" => {
                Kernel::Attention { scale: attrs.number("scale")?, reach: attrs.reach()?, cap: attrs.maybe_cap()? }
            }
            "attention_grad" => Kernel::AttentionGrad(Scoring {
                scale: attrs.number("scale")?,
                reach: attrs.reach()?,
                cap: attrs.maybe_cap()?,
            }),
            "activation" => Kernel::Activation { function: attrs.activation()? },
            "activation_grad" => Kernel::ActivationGrad { function: attrs.activation()? },
            "jump_relu" => Kernel::JumpRelu,
            "top_k_mask" => Kernel::TopKMask { k: attrs.count("k")? },
            "where_nonzero" => Kernel::WhereNonzero,
            "scale" => Kernel::Scale { factor: attrs.number("factor")? },
            "linear_grad_weight" => Kernel::LinearGradWeight,
            "head_linear_grad_weight" => Kernel::HeadLinearGradWeight,
            "head_result_grad" => Kernel::HeadResultGrad { head: attrs.maybe_count("head")? },
            "head_result_grad_weight" => Kernel::HeadResultGradWeight { head: attrs.maybe_count("head")? },
            "column_sum" => Kernel::ColumnSum,
            "normalize_grad" => Kernel::NormalizeGrad { kind: attrs.norm_kind()? },
            "normalize_grad_scale" => Kernel::NormalizeGradScale { kind: attrs.norm_kind()? },
            "norm_scale_grad" => Kernel::NormScaleGrad { kind: attrs.norm_kind()? },
            "norm_grad" => Kernel::NormGrad { kind: attrs.norm_kind()? },
            "softmax_grad" => Kernel::SoftmaxGrad,
            "embed_grad" => Kernel::EmbedGrad { transposed: attrs.maybe_flag("transposed")? },
            "scatter_rows" => Kernel::ScatterRows,
            "columns_grad" => Kernel::ColumnsGrad,
            "columns_grad_weight" => Kernel::ColumnsGradWeight,
            "columns_grad_bias" => Kernel::ColumnsGradBias,
            "cross_entropy_grad" => Kernel::CrossEntropyGrad,
            "edge_read_grad" => {
                Kernel::EdgeReadGrad { heads: attrs.count("heads")?, delta: attrs.maybe_count("delta")? }
            }
            "outer" => Kernel::Outer,
            "repeat" => Kernel::Repeat,
            "reshape" => Kernel::Reshape,
            "gather_rows" => Kernel::GatherRows,
            "concat_positions" => Kernel::ConcatPositions,
            "add_alibi" => Kernel::AddAlibi,
            "add_alibi_grad" => Kernel::AddAlibiGrad,
            "add_bias" => Kernel::AddBias,
            "add_bias_grad" => Kernel::AddBiasGrad,
            "columns" => Kernel::Columns,
            "cross_entropy" => Kernel::CrossEntropy,
            "top_k" => Kernel::TopK { k: attrs.count("k")? },
            "edit" => {
                let shapes = [
                    ("none", ValueShape::None),
                    ("scalar", ValueShape::Scalar),
                    ("vector", ValueShape::Vector),
                    ("rows", ValueShape::Rows),
                ];
                let value = attrs.word("valueShape", &shapes)?;
                let operations =
                    [("set", EditOperation::Set), ("add", EditOperation::Add), ("scale", EditOperation::Scale)];
                Kernel::Edit {
                    operation: attrs.word("op", &operations)?,
                    dims: attrs.dims(dim)?,
                    value,
                    constant: if value == ValueShape::None { attrs.number("constant")? } else { 0.0 },
                }
            }
            "direction" => {
                let operations = [
                    ("project_out", DirectionOperation::ProjectOut),
                    ("steer", DirectionOperation::Steer),
                    ("clamp", DirectionOperation::Clamp),
                ];
                Kernel::Direction { operation: attrs.word("op", &operations)?, dims: attrs.dims(dim)? }
            }
            "edge_read" => Kernel::EdgeRead { heads: attrs.count("heads")? },
            "pair_dots" => Kernel::PairDots,
            "project_dot" => Kernel::ProjectDot,
            "bias_act_top_k" => Kernel::BiasActTopK {
                activation: attrs.word("activation", &LATENTS)?,
                k: attrs.count("k")?,
                screen: if attrs.has("screen") { attrs.word("screen", &FIRST_LOOKS)? } else { FirstLook::None },
            },
            "project_csr" => Kernel::ProjectCsr {
                activation: attrs.word("activation", &LATENTS)?,
                per_token: attrs.maybe_count("batchTopK")?,
            },
            "active_csr" => Kernel::ActiveCsr { per_token: attrs.maybe_count("batchTopK")? },
            "active_top_k" => Kernel::ActiveTopK { k: attrs.count("k")? },
            "vocab_statistics" => Kernel::VocabStatistics { k: attrs.count("k")?, cap: attrs.maybe_cap()? },
            _ => match (Vision::parse(&attrs)?, Experts::parse(&attrs)?, Doubles::parse(&attrs)?) {
                (Some(vision), _, _) => Kernel::Vision(vision),
                (_, Some(experts), _) => Kernel::Experts(experts),
                (_, _, Some(doubles)) => Kernel::Doubles(doubles),
                (None, None, None) => return Err(format!("There is no kernel {name:?}")),
            },
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kernel::Embed { .. } => "embed",
            Kernel::Sum => "sum",
            Kernel::Mul => "mul",
            Kernel::Subtract => "subtract",
            Kernel::NormScale { .. } => "norm_scale",
            Kernel::Normalize { .. } => "normalize",
            Kernel::Affine => "affine",
            Kernel::Norm { .. } => "norm",
            Kernel::Linear { .. } => "linear",
            Kernel::HeadLinear { .. } => "head_linear",
            Kernel::HeadResult { .. } => "head_result",
            Kernel::Rotary { .. } => "rotary",
            Kernel::Rotate { .. } => "rotate",
            Kernel::Scores { .. } => "scores",
            Kernel::SoftCap { .. } => "soft_cap",
            Kernel::SoftCapGrad { .. } => "soft_cap_grad",
            Kernel::Softmax => "softmax",
            Kernel::Mix => "mix",
            Kernel::MixTransposed => "mix_transposed",
            Kernel::Attention { .. } => "attention",
            Kernel::AttentionGrad(_) => "attention_grad",
            Kernel::Activation { .. } => "activation",
            Kernel::ActivationGrad { .. } => "activation_grad",
            Kernel::JumpRelu => "jump_relu",
            Kernel::TopKMask { .. } => "top_k_mask",
            Kernel::WhereNonzero => "where_nonzero",
            Kernel::Scale { .. } => "scale",
            Kernel::LinearGradWeight => "linear_grad_weight",
            Kernel::HeadLinearGradWeight => "head_linear_grad_weight",
            Kernel::HeadResultGrad { .. } => "head_result_grad",
            Kernel::HeadResultGradWeight { .. } => "head_result_grad_weight",
            Kernel::ColumnSum => "column_sum",
            Kernel::NormalizeGrad { .. } => "normalize_grad",
            Kernel::NormalizeGradScale { .. } => "normalize_grad_scale",
            Kernel::NormScaleGrad { .. } => "norm_scale_grad",
            Kernel::NormGrad { .. } => "norm_grad",
            Kernel::SoftmaxGrad => "softmax_grad",
            Kernel::EmbedGrad { .. } => "embed_grad",
            Kernel::ScatterRows => "scatter_rows",
            Kernel::ColumnsGrad => "columns_grad",
            Kernel::ColumnsGradWeight => "columns_grad_weight",
            Kernel::ColumnsGradBias => "columns_grad_bias",
            Kernel::CrossEntropyGrad => "cross_entropy_grad",
            Kernel::EdgeReadGrad { .. } => "edge_read_grad",
            Kernel::Outer => "outer",
            Kernel::Repeat => "repeat",
            Kernel::Reshape => "reshape",
            Kernel::GatherRows => "gather_rows",
            Kernel::ConcatPositions => "concat_positions",
            Kernel::AddAlibi => "add_alibi",
            Kernel::AddAlibiGrad => "add_alibi_grad",
            Kernel::AddBias => "add_bias",
            Kernel::AddBiasGrad => "add_bias_grad",
            Kernel::Columns => "columns",
            Kernel::CrossEntropy => "cross_entropy",
            Kernel::TopK { .. } => "top_k",
            Kernel::Edit { .. } => "edit",
            Kernel::Direction { .. } => "direction",
            Kernel::EdgeRead { .. } => "edge_read",
            Kernel::PairDots => "pair_dots",
            Kernel::ProjectDot => "project_dot",
            Kernel::BiasActTopK { .. } => "bias_act_top_k",
            Kernel::ProjectCsr { .. } => "project_csr",
            Kernel::ActiveCsr { .. } => "active_csr",
            Kernel::ActiveTopK { .. } => "active_top_k",
            Kernel::VocabStatistics { .. } => "vocab_statistics",
            Kernel::Experts(experts) => experts.name(),
            Kernel::Vision(vision) => vision.name(),
            Kernel::Doubles(doubles) => doubles.name(),
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        use Role::{Matrix, MaybeVector, Rows, Vector};
        let (inputs, params, outputs): (&[Port], &[Role], &[Port]) = match self {
            Kernel::Embed { .. } => (&[I], &[Rows], &[F]),
            Kernel::Sum => (&[Port::Many(1)], &[], &[F]),
            Kernel::Mul
            | Kernel::ConcatPositions
            | Kernel::Subtract
            | Kernel::Normalize { .. }
            | Kernel::Mix
            | Kernel::MixTransposed
            | Kernel::ActivationGrad { .. }
            | Kernel::WhereNonzero
            | Kernel::LinearGradWeight
            | Kernel::HeadLinearGradWeight
            | Kernel::HeadResultGradWeight { .. }
            | Kernel::NormalizeGrad { .. }
            | Kernel::SoftCapGrad { .. }
            | Kernel::SoftmaxGrad
            | Kernel::Outer
            | Kernel::ProjectDot => (&[F, F], &[], &[F]),
            Kernel::NormScale { .. }
            | Kernel::SoftCap { .. }
            | Kernel::Softmax
            | Kernel::Activation { .. }
            | Kernel::TopKMask { .. }
            | Kernel::Scale { .. }
            | Kernel::Repeat
            | Kernel::Reshape => (&[F], &[], &[F]),
            Kernel::JumpRelu => (&[F], &[Vector], &[F]),
            Kernel::AddAlibi | Kernel::AddBias => (&[F, I], &[Vector], &[F]),
            Kernel::ColumnSum | Kernel::EdgeReadGrad { .. } => (&[F, MAYBE_F], &[], &[F]),
            Kernel::NormalizeGradScale { .. } | Kernel::NormScaleGrad { .. } | Kernel::Rotate { .. } => {
                (&[F, F, F], &[], &[F])
            }
            Kernel::NormGrad { .. } => (&[F, F, F], &[MaybeVector], &[F]),
            Kernel::AttentionGrad(_) => (&[F, F, F, F, F], &[], &[MAYBE_F, MAYBE_F, MAYBE_F, MAYBE_F]),
            Kernel::EmbedGrad { .. } | Kernel::ColumnsGradBias | Kernel::AddAlibiGrad | Kernel::AddBiasGrad => {
                (&[I, F], &[], &[F])
            }
            Kernel::ScatterRows => (&[F, I], &[], &[F]),
            Kernel::ColumnsGrad => (&[F, I], &[Matrix], &[F]),
            Kernel::ColumnsGradWeight | Kernel::CrossEntropyGrad => (&[F, I, F], &[], &[F]),
            Kernel::Affine => (&[F], &[MaybeVector, MaybeVector], &[F]),
            Kernel::Norm { .. } => (&[F], &[MaybeVector, MaybeVector], &[F, MAYBE_F, MAYBE_F]),
            Kernel::Linear { .. } => (&[F, MAYBE_F], &[Matrix, MaybeVector], &[F]),
            Kernel::HeadLinear { .. } => (&[F], &[Matrix, MaybeVector], &[F]),
            Kernel::HeadResult { .. } | Kernel::HeadResultGrad { .. } => (&[F], &[Matrix], &[F]),
            Kernel::Rotary { .. } => (&[F, I], &[Vector, Vector], &[F]),
            Kernel::Scores { .. } => (&[F, F, MAYBE_I], &[], &[F]),
            Kernel::Attention { .. } => {
                (&[F, F, F, MAYBE_I, MAYBE_I, MAYBE_I], &[MaybeVector, MaybeVector], &[F, MAYBE_F, MAYBE_F])
            }
            Kernel::GatherRows | Kernel::CrossEntropy => (&[F, I], &[], &[F]),
            Kernel::Columns => (&[F, I], &[Matrix, MaybeVector], &[F]),
            Kernel::TopK { .. } => (&[F], &[], &[F, I]),
            Kernel::Edit { value: ValueShape::None, .. } => {
                (&[F, MAYBE_F, MAYBE_I, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F])
            }
            Kernel::Edit { .. } => (&[F, F, MAYBE_I, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F]),
            Kernel::Direction { .. } => (&[F, F, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F]),
            Kernel::EdgeRead { .. } => (&[F, Port::Many(0), MAYBE_F], &[], &[F]),
            Kernel::PairDots => (&[F, Port::Many(1)], &[], &[F]),
            Kernel::BiasActTopK { activation: Latents::Threshold, .. }
            | Kernel::ProjectCsr { activation: Latents::Threshold, .. } => {
                (&[F], &[Matrix, MaybeVector, Vector], &[F, I, I])
            }
            Kernel::ActiveCsr { .. } | Kernel::ActiveTopK { .. } => (&[F], &[], &[F, I, I]),
            Kernel::BiasActTopK { .. } | Kernel::ProjectCsr { .. } => {
                (&[F], &[Matrix, MaybeVector, MaybeVector], &[F, I, I])
            }
            Kernel::VocabStatistics { .. } => {
                (&[F, MAYBE_I, MAYBE_F], &[Matrix, MaybeVector], &[MAYBE_F, MAYBE_F, MAYBE_I])
            }
            Kernel::Experts(experts) => return experts.ports(),
            Kernel::Vision(vision) => return vision.ports(),
            Kernel::Doubles(doubles) => return doubles.ports(),
        };
        Ports { inputs, params, outputs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_look_pays_where_there_is_much_to_project() {
        assert_eq!(FirstLook::WhereItPays.bits(16, 24_576), None);
        assert_eq!(FirstLook::WhereItPays.bits(1024, 24_576), Some(Bits::Bf16));
        assert_eq!(FirstLook::WhereItPays.bits(usize::MAX, 2), Some(Bits::Bf16));
        assert_eq!(FirstLook::At(Bits::Int8).bits(1, 1), Some(Bits::Int8));
        assert_eq!(FirstLook::None.bits(1024, 24_576), None);
    }
}
