//! Which kernels a program may name: their ports, and their attributes as types.

use serde_json::{Map, Value as Json};

use super::program::Dim;
use crate::ops::{ActivationFunction, DirectionOperation, EditOperation, NormKind, RotaryLayout};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dtype {
    F32,
    I32,
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
    Linear,
    HeadLinear,
    HeadResult { head: Option<usize> },
    Rotary { layout: RotaryLayout, dims: usize },
    Scores { scale: f32, causal: bool },
    Softmax,
    Mix,
    Attention { scale: f32, causal: bool },
    Activation { function: ActivationFunction },
    Repeat,
    GatherRows,
    Columns,
    CrossEntropy,
    TopK { k: usize },
    Edit { operation: EditOperation, dims: [Dim; 3], value: ValueShape, constant: f32 },
    Direction { operation: DirectionOperation, dims: [Dim; 3] },
    EdgeRead { heads: usize },
    ProjectDot,
    BiasActTopK { activation: Latents, k: usize },
}

const F: Port = Port::One(Dtype::F32);
const I: Port = Port::One(Dtype::I32);
const MAYBE_F: Port = Port::Maybe(Dtype::F32);
const MAYBE_I: Port = Port::Maybe(Dtype::I32);

impl Kernel {
    /// By name and attributes; the error says what is wrong with them. Attributes that no kernel reads are passed over.
    pub(crate) fn parse(
        name: &str,
        attrs: &Map<String, Json>,
        dim: &mut dyn FnMut(&Json) -> Option<Dim>,
    ) -> Result<Kernel, String> {
        let attrs = Attrs { kernel: name, attrs };
        Ok(match name {
            "embed" => Kernel::Embed { transposed: attrs.has("transposed") && attrs.flag("transposed")? },
            "sum" => Kernel::Sum,
            "mul" => Kernel::Mul,
            "subtract" => Kernel::Subtract,
            "norm_scale" => Kernel::NormScale { kind: attrs.norm_kind()?, eps: attrs.number("eps")? },
            "normalize" => Kernel::Normalize { kind: attrs.norm_kind()? },
            "affine" => Kernel::Affine,
            "norm" => Kernel::Norm { kind: attrs.norm_kind()?, eps: attrs.number("eps")? },
            "linear" => Kernel::Linear,
            "head_linear" => Kernel::HeadLinear,
            "head_result" => {
                Kernel::HeadResult { head: if attrs.has("head") { Some(attrs.count("head")?) } else { None } }
            }
            "rotary" => Kernel::Rotary {
                layout: attrs.word("layout", &[("half", RotaryLayout::Half), ("adjacent", RotaryLayout::Adjacent)])?,
                dims: attrs.count("dims")?,
            },
            "scores" => Kernel::Scores { scale: attrs.number("scale")?, causal: attrs.flag("causal")? },
            "softmax" => Kernel::Softmax,
            "mix" => Kernel::Mix,
            "attention" => Kernel::Attention { scale: attrs.number("scale")?, causal: attrs.flag("causal")? },
            "activation" => Kernel::Activation {
                function: attrs.word(
                    "fn",
                    &[
                        ("gelu_tanh", ActivationFunction::GeluTanh),
                        ("gelu_erf", ActivationFunction::GeluErf),
                        ("silu", ActivationFunction::Silu),
                        ("relu", ActivationFunction::Relu),
                    ],
                )?,
            },
            "repeat" => Kernel::Repeat,
            "gather_rows" => Kernel::GatherRows,
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
            "project_dot" => Kernel::ProjectDot,
            "bias_act_top_k" => Kernel::BiasActTopK {
                activation: attrs.word(
                    "activation",
                    &[("none", Latents::None), ("relu", Latents::Relu), ("threshold", Latents::Threshold)],
                )?,
                k: attrs.count("k")?,
            },
            _ => return Err(format!("There is no kernel {name:?}")),
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
            Kernel::Linear => "linear",
            Kernel::HeadLinear => "head_linear",
            Kernel::HeadResult { .. } => "head_result",
            Kernel::Rotary { .. } => "rotary",
            Kernel::Scores { .. } => "scores",
            Kernel::Softmax => "softmax",
            Kernel::Mix => "mix",
            Kernel::Attention { .. } => "attention",
            Kernel::Activation { .. } => "activation",
            Kernel::Repeat => "repeat",
            Kernel::GatherRows => "gather_rows",
            Kernel::Columns => "columns",
            Kernel::CrossEntropy => "cross_entropy",
            Kernel::TopK { .. } => "top_k",
            Kernel::Edit { .. } => "edit",
            Kernel::Direction { .. } => "direction",
            Kernel::EdgeRead { .. } => "edge_read",
            Kernel::ProjectDot => "project_dot",
            Kernel::BiasActTopK { .. } => "bias_act_top_k",
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        use Role::{Matrix, MaybeVector, Rows, Vector};
        let (inputs, params, outputs): (&[Port], &[Role], &[Port]) = match self {
            Kernel::Embed { .. } => (&[I], &[Rows], &[F]),
            Kernel::Sum => (&[Port::Many(1)], &[], &[F]),
            Kernel::Mul | Kernel::Subtract | Kernel::Normalize { .. } | Kernel::Mix | Kernel::ProjectDot => {
                (&[F, F], &[], &[F])
            }
            Kernel::NormScale { .. } | Kernel::Softmax | Kernel::Activation { .. } | Kernel::Repeat => {
                (&[F], &[], &[F])
            }
            Kernel::Affine => (&[F], &[MaybeVector, MaybeVector], &[F]),
            Kernel::Norm { .. } => (&[F], &[MaybeVector, MaybeVector], &[F, MAYBE_F, MAYBE_F]),
            Kernel::Linear | Kernel::HeadLinear => (&[F], &[Matrix, MaybeVector], &[F]),
            Kernel::HeadResult { .. } => (&[F], &[Matrix], &[F]),
            Kernel::Rotary { .. } => (&[F, I], &[Vector, Vector], &[F]),
            Kernel::Scores { .. } => (&[F, F, MAYBE_I], &[], &[F]),
            Kernel::Attention { .. } => (&[F, F, F, MAYBE_I], &[], &[F, MAYBE_F, MAYBE_F]),
            Kernel::GatherRows | Kernel::CrossEntropy => (&[F, I], &[], &[F]),
            Kernel::Columns => (&[F, I], &[Matrix, MaybeVector], &[F]),
            Kernel::TopK { .. } => (&[F], &[], &[F, I]),
            Kernel::Edit { value: ValueShape::None, .. } => {
                (&[F, MAYBE_F, MAYBE_I, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F])
            }
            Kernel::Edit { .. } => (&[F, F, MAYBE_I, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F]),
            Kernel::Direction { .. } => (&[F, F, MAYBE_I, MAYBE_I, MAYBE_F], &[], &[F]),
            Kernel::EdgeRead { .. } => (&[F, Port::Many(0), MAYBE_F], &[], &[F]),
            Kernel::BiasActTopK { activation: Latents::Threshold, .. } => {
                (&[F], &[Matrix, MaybeVector, Vector], &[F, I, I])
            }
            Kernel::BiasActTopK { .. } => (&[F], &[Matrix, MaybeVector, MaybeVector], &[F, I, I]),
        };
        Ports { inputs, params, outputs }
    }
}

struct Attrs<'a> {
    kernel: &'a str,
    attrs: &'a Map<String, Json>,
}

impl Attrs<'_> {
    fn has(&self, name: &str) -> bool {
        self.attrs.get(name).is_some_and(|value| !value.is_null())
    }

    fn wrong<T>(&self, name: &str, expected: &str) -> Result<T, String> {
        let got = self.attrs.get(name).map_or("nothing".into(), |value| {
            let text = value.to_string();
            if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
        });
        Err(format!("{} needs the attribute {name} to be {expected}, but it is {got}", self.kernel))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        self.attrs.get(name).and_then(Json::as_bool).map_or_else(|| self.wrong(name, "true or false"), Ok)
    }

    fn number(&self, name: &str) -> Result<f32, String> {
        let number = self.attrs.get(name).and_then(Json::as_f64).map(|number| number as f32);
        number.filter(|number| number.is_finite()).map_or_else(|| self.wrong(name, "a number that fits a float32"), Ok)
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        self.attrs.get(name).and_then(whole).map_or_else(|| self.wrong(name, "a whole number from 0"), Ok)
    }

    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, String> {
        let given = self.attrs.get(name).and_then(Json::as_str);
        let found = words.iter().find(|(word, _)| Some(*word) == given);
        found.map_or_else(
            || {
                self.wrong(
                    name,
                    &format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")),
                )
            },
            |(_, value)| Ok(*value),
        )
    }

    fn norm_kind(&self) -> Result<NormKind, String> {
        self.word("kind", &[("layer", NormKind::Layer), ("rms", NormKind::Rms)])
    }

    fn dims(&self, dim: &mut dyn FnMut(&Json) -> Option<Dim>) -> Result<[Dim; 3], String> {
        if let Some([a, b, c]) = self.attrs.get("dims").and_then(Json::as_array).map(Vec::as_slice)
            && let (Some(a), Some(b), Some(c)) = (dim(a), dim(b), dim(c))
        {
            return Ok([a, b, c]);
        }
        self.wrong("dims", "three sizes, each a whole number or the name of one")
    }
}

/// A whole number that a double holds exactly; JSON writers may well say 3.0.
pub(crate) fn whole(value: &Json) -> Option<usize> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_f64()?;
    ((0.0..LIMIT).contains(&number) && number.fract() == 0.0).then_some(number as usize)
}
