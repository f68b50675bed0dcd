//! Kernels in float64 over the columns of matrices: their attributes, ports, shapes and calls.

use super::attrs::Attrs;
use super::buffer::Buffer;
use super::check::StepShapes;
use super::dispatch::{StepValues, activation_of, floats_of};
use super::kernel::{Dtype, LATENTS, Latents, Port, Ports, Role};
use super::shapes::Sizes;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::ops;
#[cfg(feature = "linalg")]
use crate::ops::decompose;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubles {
    Gram,
    CorrelateTopK {
        k: usize,
        absolute: bool,
        first: usize,
    },
    Assign,
    LatentStatistics {
        activation: Latents,
        examples: usize,
    },
    #[cfg(feature = "linalg")]
    Decompose(Decomposition),
}

#[cfg(feature = "linalg")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decomposition {
    Svd,
    SymmetricEigen,
    Qr,
    Eigenvalues,
}

const F: Port = Port::One(Dtype::F32);
const I: Port = Port::One(Dtype::I32);
const D: Port = Port::One(Dtype::F64);
const MAYBE_F: Port = Port::Maybe(Dtype::F32);
const MAYBE_I: Port = Port::Maybe(Dtype::I32);
const MAYBE_D: Port = Port::Maybe(Dtype::F64);

impl Doubles {
    pub(super) fn parse(attrs: &Attrs<'_>) -> Result<Option<Doubles>, String> {
        Ok(Some(match attrs.kernel {
            "gram" => Doubles::Gram,
            "correlate_top_k" => Doubles::CorrelateTopK {
                k: attrs.count("k")?,
                absolute: attrs.flag("absolute")?,
                first: attrs.maybe_count("first")?.unwrap_or(0),
            },
            "assign" => Doubles::Assign,
            "latent_statistics" => Doubles::LatentStatistics {
                activation: attrs.word("activation", &LATENTS)?,
                examples: attrs.count("examples")?,
            },
            #[cfg(feature = "linalg")]
            "svd" => Doubles::Decompose(Decomposition::Svd),
            #[cfg(feature = "linalg")]
            "symmetric_eigen" => Doubles::Decompose(Decomposition::SymmetricEigen),
            #[cfg(feature = "linalg")]
            "qr" => Doubles::Decompose(Decomposition::Qr),
            #[cfg(feature = "linalg")]
            "eigenvalues" => Doubles::Decompose(Decomposition::Eigenvalues),
            _ => return Ok(None),
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Doubles::Gram => "gram",
            Doubles::CorrelateTopK { .. } => "correlate_top_k",
            Doubles::Assign => "assign",
            Doubles::LatentStatistics { .. } => "latent_statistics",
            #[cfg(feature = "linalg")]
            Doubles::Decompose(method) => match method {
                Decomposition::Svd => "svd",
                Decomposition::SymmetricEigen => "symmetric_eigen",
                Decomposition::Qr => "qr",
                Decomposition::Eigenvalues => "eigenvalues",
            },
        }
    }

    pub(super) fn ports(&self) -> Ports {
        let (inputs, outputs): (&[Port], &[Port]) = match self {
            Doubles::Gram => (&[F, MAYBE_F, MAYBE_D], &[D]),
            Doubles::CorrelateTopK { .. } => (&[F, F, MAYBE_F, MAYBE_I], &[F, I]),
            Doubles::Assign => (&[D], &[I, D]),
            Doubles::LatentStatistics { .. } => (&[F, I, MAYBE_D], &[D, I, F, I]),
            #[cfg(feature = "linalg")]
            Doubles::Decompose(Decomposition::Svd) => (&[D], &[D, D, D]),
            #[cfg(feature = "linalg")]
            Doubles::Decompose(_) => (&[D], &[D, D]),
        };
        let params: &[Role] = match self {
            Doubles::LatentStatistics { activation: Latents::Threshold, .. } => {
                &[Role::Matrix, Role::MaybeVector, Role::Vector]
            }
            Doubles::LatentStatistics { .. } => &[Role::Matrix, Role::MaybeVector, Role::MaybeVector],
            _ => &[],
        };
        Ports { inputs, params, outputs }
    }

    pub(super) fn check(&self, shapes: &StepShapes<'_>, s: &mut Sizes) -> Result<(), String> {
        match self {
            Doubles::Gram => {
                let square = if shapes.input(1).is_some() { "pq" } else { "pp" };
                shapes.fit_inputs(s, &["np", "nq", square])?;
                shapes.fit_outputs(s, &[square])
            }
            Doubles::CorrelateTopK { k, .. } => {
                s.set('k', *k)?;
                if shapes.input(2).is_some() != shapes.input(3).is_some() {
                    return Err("values and indices of earlier columns go together; one of them is left out".into());
                }
                shapes.fit_inputs(s, &["np", "nq", "pk", "pk"])?;
                shapes.fit_outputs(s, &["pk", "pk"])
            }
            Doubles::Assign => {
                shapes.fit_inputs(s, &["nm"])?;
                shapes.fit_outputs(s, &["n", "1"])
            }
            Doubles::LatentStatistics { examples, .. } => {
                s.set('k', *examples)?;
                s.set('c', ops::LATENT_COUNTS)?;
                s.set('z', 2)?;
                shapes.fit_matrix(s, "dF")?;
                shapes.fit_vector(1, s.of('F'))?;
                shapes.fit_vector(2, s.of('F'))?;
                shapes.fit_inputs(s, &[".d", ".", "Fz"])?;
                shapes.fit_outputs(s, &["Fz", "Fc", "Fk", "Fk"])
            }
            #[cfg(feature = "linalg")]
            Doubles::Decompose(method) => {
                let square = matches!(method, Decomposition::SymmetricEigen | Decomposition::Eigenvalues);
                shapes.fit_inputs(s, &[if square { "nn" } else { "np" }])?;
                s.set('r', s.of('n').min(s.of('p')))?;
                shapes.fit_outputs(
                    s,
                    match method {
                        Decomposition::Svd => &["nr", "r", "pr"],
                        Decomposition::SymmetricEigen => &["n", "nn"],
                        Decomposition::Qr => &["nr", "rp"],
                        Decomposition::Eigenvalues => &["n", "n"],
                    },
                )
            }
        }
    }

    pub(super) fn run(
        &self,
        ctx: &Context<'_>,
        v: &StepValues<'_>,
        s: &Sizes,
        lent: &mut [Buffer; 4],
        lengths: [Option<usize>; 4],
    ) -> Result<(), KernelError> {
        let [first, second, third, fourth] = lent;
        let [length, other, ..] = lengths.map(|length| length.unwrap_or(0));
        match self {
            Doubles::Gram => {
                let size = [s.of('n'), s.of('p'), s.of('q')];
                ops::gram(ctx, v.floats(0), v.maybe_floats(1), size, v.maybe_doubles(2), first.doubles_mut(length))
            }
            Doubles::LatentStatistics { activation, examples } => {
                let (bias, thresholds) = (v.vector(1)?, v.vector(2)?.unwrap_or_default());
                let to = ops::LatentStatistics {
                    sums: first.doubles_mut(length),
                    counts: second.ints_mut(other),
                    values: third.floats_mut(lengths[2].unwrap_or(0)),
                    rows: fourth.ints_mut(lengths[3].unwrap_or(0)),
                };
                let (x, counted, before) = (v.floats(0), v.maybe_ints(1).unwrap_or_default(), v.maybe_doubles(2));
                let activation = activation_of(*activation, &thresholds);
                let w = v.matrix_at(ctx, 0, false)?;
                ops::latent_statistics(ctx, x, counted, &w, floats_of(&bias), activation, *examples, before, to)
            }
            Doubles::CorrelateTopK { k, absolute, first: from } => {
                let before = v.maybe_floats(2).zip(v.maybe_ints(3));
                let with = ops::Correlate { k: *k, absolute: *absolute, first: *from, before };
                let to = ops::CorrelateOut { values: first.floats_mut(length), indices: second.ints_mut(other) };
                ops::correlate_top_k(ctx, v.floats(0), v.floats(1), [s.of('n'), s.of('p'), s.of('q')], with, to)
            }
            Doubles::Assign => {
                let size = [s.of('n'), s.of('m')];
                ops::assign(ctx, v.doubles(0), size, first.ints_mut(length), second.doubles_mut(other))
            }
            #[cfg(feature = "linalg")]
            Doubles::Decompose(method) => {
                let [first, second, third, _] = lent;
                let (a, n, size) = (v.doubles(0), s.of('n'), [s.of('n'), s.of('p')]);
                let (one, two) = (first.doubles_mut(length), second.doubles_mut(other));
                match method {
                    Decomposition::Svd => {
                        decompose::svd(ctx, a, size, [one, two, third.doubles_mut(lengths[2].unwrap_or(0))])
                    }
                    Decomposition::SymmetricEigen => decompose::symmetric_eigen(ctx, a, n, [one, two]),
                    Decomposition::Qr => decompose::qr(ctx, a, size, [one, two]),
                    Decomposition::Eigenvalues => decompose::eigenvalues(ctx, a, n, [one, two]),
                }
            }
        }
    }
}
