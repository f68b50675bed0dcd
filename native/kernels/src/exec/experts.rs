//! Kernels of mixtures of experts: their attributes, ports, shapes and calls.

use super::attrs::Attrs;
use super::check::StepShapes;
use super::dispatch::StepValues;
use super::kernel::{Dtype, Port, Ports, Role};
use super::shapes::Sizes;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::ops::{self, ActivationFunction};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Experts {
    Route,
    RouteGrad,
    Choices { k: usize },
    AddGated { expert: usize },
    GateGrad { expert: usize, experts: usize },
    Expert { expert: usize, function: ActivationFunction },
}

const F: Port = Port::One(Dtype::F32);
const MAYBE_F: Port = Port::Maybe(Dtype::F32);

impl Experts {
    pub(super) fn parse(attrs: &Attrs<'_>) -> Result<Option<Experts>, String> {
        Ok(Some(match attrs.kernel {
            "route" => Experts::Route,
            "route_grad" => Experts::RouteGrad,
            "choices" => Experts::Choices { k: attrs.count("k")? },
            "add_gated" => Experts::AddGated { expert: attrs.count("expert")? },
            "gate_grad" => Experts::GateGrad { expert: attrs.count("expert")?, experts: attrs.count("experts")? },
            "expert" => Experts::Expert { expert: attrs.count("expert")?, function: attrs.activation()? },
            _ => return Ok(None),
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Experts::Route => "route",
            Experts::RouteGrad => "route_grad",
            Experts::Choices { .. } => "choices",
            Experts::AddGated { .. } => "add_gated",
            Experts::GateGrad { .. } => "gate_grad",
            Experts::Expert { .. } => "expert",
        }
    }

    pub(super) fn ports(&self) -> Ports {
        use Role::Matrix;
        let (inputs, params): (&[Port], &[Role]) = match self {
            Experts::Choices { .. } => (&[F], &[]),
            Experts::Route => (&[F, F], &[]),
            Experts::RouteGrad => (&[F, F, F], &[]),
            Experts::GateGrad { .. } => (&[F, F], &[]),
            Experts::AddGated { .. } => (&[MAYBE_F, F, F], &[]),
            Experts::Expert { .. } => (&[MAYBE_F, F, F], &[Matrix, Matrix, Matrix]),
        };
        Ports { inputs, params, outputs: &[F] }
    }

    /// Letters: n experts, m the width of what is added, K of what is read, F neurons.
    pub(super) fn check(&self, shapes: &StepShapes<'_>, s: &mut Sizes) -> Result<(), String> {
        match self {
            Experts::Route => {
                shapes.fit_inputs(s, &[".n", ".k"])?;
                shapes.fit_outputs(s, &[".n"])
            }
            Experts::RouteGrad => {
                shapes.fit_inputs(s, &[".n", ".n", ".n"])?;
                shapes.fit_outputs(s, &[".n"])
            }
            Experts::Choices { k } => {
                s.set('k', *k)?;
                shapes.fit_inputs(s, &[".n"])?;
                shapes.fit_outputs(s, &[".k"])
            }
            Experts::AddGated { .. } => {
                shapes.fit_inputs(s, &[".m", ".m", ".n"])?;
                shapes.fit_outputs(s, &[".m"])
            }
            Experts::GateGrad { experts, .. } => {
                s.set('n', *experts)?;
                shapes.fit_inputs(s, &[".m", ".m"])?;
                shapes.fit_outputs(s, &[".n"])
            }
            Experts::Expert { .. } => {
                for (at, pattern) in ["KF", "KF", "Fm"].iter().enumerate() {
                    s.fit(&format!("params[{at}]"), shapes.param(at).unwrap_or_default(), pattern)?;
                }
                shapes.fit_inputs(s, &[".m", ".K", ".n"])?;
                shapes.fit_outputs(s, &[".m"])
            }
        }
    }

    pub(super) fn run(
        &self,
        ctx: &Context<'_>,
        v: &StepValues<'_>,
        s: &Sizes,
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        let gate = |expert: usize| ops::ExpertGate { gates: v.floats(2), experts: s.of('n'), expert };
        match *self {
            Experts::Route => ops::route(ctx, v.floats(0), s.of('n'), (v.floats(1), s.of('k')), out),
            Experts::RouteGrad => ops::route_grad(ctx, [v.floats(0), v.floats(1), v.floats(2)], s.of('n'), out),
            Experts::Choices { k } => ops::choices(ctx, v.floats(0), s.of('n'), k, out),
            Experts::AddGated { expert } => {
                ops::add_gated(ctx, v.maybe_floats(0), v.floats(1), s.of('m'), gate(expert), out)
            }
            Experts::GateGrad { expert, experts } => {
                ops::gate_grad(ctx, v.floats(0), v.floats(1), s.of('m'), [expert, experts], out)
            }
            Experts::Expert { expert, function } => {
                let [gated, into, written] =
                    [v.matrix_at(ctx, 0, false)?, v.matrix_at(ctx, 1, false)?, v.matrix_at(ctx, 2, false)?];
                let w = ops::ExpertWeights { gate: &gated, into: &into, out: &written, function };
                ops::expert(ctx, v.maybe_floats(0), v.floats(1), gate(expert), w, out)
            }
        }
    }
}
