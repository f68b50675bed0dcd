//! Kernels over images: their attributes, ports, shapes and calls.

use serde_json::{Map, Value as Json};

use super::attrs::{Attrs, whole};
use super::check::{StepShapes, equal};
use super::dispatch::{StepValues, floats_of};
use super::kernel::{Dtype, Port, Ports, Role};
use super::shapes::Sizes;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::ops::{self, Axis, Convolution, Groups, Plane};

type Pair = [usize; 2];
/// Before and behind, down and across.
type Padding = [Pair; 2];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Movement {
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pool {
    window: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    ceil: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Vision {
    Conv2d(Movement),
    Conv2dGradInput(Movement),
    Conv2dGradWeight(Movement),
    ChannelAffine,
    ChannelSum,
    MaxPool2d(Pool),
    MaxPool2dGrad(Pool),
    AvgPool2d { pool: Pool, count_padding: bool },
    AvgPool2dGrad { pool: Pool, count_padding: bool },
    ConcatChannels,
    SliceChannels { first: usize },
    Clip([f32; 2]),
    ClipGrad([f32; 2]),
}

const F: Port = Port::One(Dtype::F32);
const MAYBE_F: Port = Port::Maybe(Dtype::F32);

impl Vision {
    pub(super) fn parse(attrs: &Attrs<'_>) -> Result<Option<Vision>, String> {
        Ok(Some(match attrs.kernel {
            "conv2d" => Vision::Conv2d(movement(attrs)?),
            "conv2d_grad_input" => Vision::Conv2dGradInput(movement(attrs)?),
            "conv2d_grad_weight" => Vision::Conv2dGradWeight(movement(attrs)?),
            "channel_affine" => Vision::ChannelAffine,
            "channel_sum" => Vision::ChannelSum,
            "max_pool2d" => Vision::MaxPool2d(pool(attrs)?),
            "max_pool2d_grad" => Vision::MaxPool2dGrad(pool(attrs)?),
            "avg_pool2d" => Vision::AvgPool2d { pool: pool(attrs)?, count_padding: attrs.flag("countPadding")? },
            "avg_pool2d_grad" => {
                Vision::AvgPool2dGrad { pool: pool(attrs)?, count_padding: attrs.flag("countPadding")? }
            }
            "concat_channels" => Vision::ConcatChannels,
            "slice_channels" => Vision::SliceChannels { first: attrs.count("first")? },
            "clip" => Vision::Clip(bounds(attrs)?),
            "clip_grad" => Vision::ClipGrad(bounds(attrs)?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Vision::Conv2d(_) => "conv2d",
            Vision::Conv2dGradInput(_) => "conv2d_grad_input",
            Vision::Conv2dGradWeight(_) => "conv2d_grad_weight",
            Vision::ChannelAffine => "channel_affine",
            Vision::ChannelSum => "channel_sum",
            Vision::MaxPool2d(_) => "max_pool2d",
            Vision::MaxPool2dGrad(_) => "max_pool2d_grad",
            Vision::AvgPool2d { .. } => "avg_pool2d",
            Vision::AvgPool2dGrad { .. } => "avg_pool2d_grad",
            Vision::ConcatChannels => "concat_channels",
            Vision::SliceChannels { .. } => "slice_channels",
            Vision::Clip(_) => "clip",
            Vision::ClipGrad(_) => "clip_grad",
        }
    }

    pub(super) fn ports(&self) -> Ports {
        use Role::{MaybeVector, Vector};
        let (inputs, params): (&[Port], &[Role]) = match self {
            Vision::Conv2d(_) => (&[F], &[Vector, MaybeVector]),
            Vision::Conv2dGradInput(_) => (&[F], &[Vector]),
            Vision::ChannelAffine => (&[F], &[MaybeVector, MaybeVector]),
            Vision::Conv2dGradWeight(_) | Vision::MaxPool2dGrad(_) | Vision::ClipGrad(_) => (&[F, F], &[]),
            Vision::ConcatChannels => (&[Port::Many(1)], &[]),
            Vision::SliceChannels { .. } | Vision::Clip(_) => (&[F], &[]),
            Vision::ChannelSum => (&[F, MAYBE_F], &[]),
            Vision::MaxPool2d(_) | Vision::AvgPool2d { .. } | Vision::AvgPool2dGrad { .. } => (&[F], &[]),
        };
        Ports { inputs, params, outputs: &[F] }
    }

    /// Letters: R rows, C, H, W before the kernel, O, Y, X after it, I channels of a group before it, [k, l] the window,
    /// Q groups of rows.
    pub(super) fn check(&self, shapes: &StepShapes<'_>, s: &mut Sizes) -> Result<(), String> {
        match self {
            Vision::Conv2d(movement) => {
                shapes.fit_matrix(s, "OIkl")?;
                shapes.fit_vector(1, s.of('O'))?;
                shapes.fit_inputs(s, &["RCHW"])?;
                shapes.fit_outputs(s, &["ROYX"])?;
                movement.fits(s)
            }
            Vision::Conv2dGradInput(movement) => {
                shapes.fit_matrix(s, "OIkl")?;
                shapes.fit_inputs(s, &["ROYX"])?;
                shapes.fit_outputs(s, &["RCHW"])?;
                movement.fits(s)
            }
            Vision::Conv2dGradWeight(movement) => {
                shapes.fit_outputs(s, &["QOIkl"])?;
                let rows = [split_rows(s, shapes, 0, "CHW")?, split_rows(s, shapes, 1, "OYX")?];
                row_groups(s.of('Q'), &rows)?;
                movement.fits(s)
            }
            Vision::ChannelAffine => {
                let (rows, _) = letters(s, shapes)?;
                shapes.fit_inputs(s, &[rows])?;
                shapes.fit_outputs(s, &[rows])?;
                shapes.fit_vector(0, s.of('C'))?;
                shapes.fit_vector(1, s.of('C'))
            }
            Vision::ChannelSum => {
                shapes.fit_outputs(s, &["QC"])?;
                let (_, row) = letters(s, shapes)?;
                let mut rows = vec![split_rows(s, shapes, 0, row)?];
                if shapes.input(1).is_some() {
                    rows.push(split_rows(s, shapes, 1, row)?);
                }
                row_groups(s.of('Q'), &rows)
            }
            Vision::MaxPool2d(pool) | Vision::AvgPool2d { pool, .. } => {
                shapes.fit_inputs(s, &["RCHW"])?;
                shapes.fit_outputs(s, &["RCYX"])?;
                pool.fits(s)
            }
            Vision::MaxPool2dGrad(pool) => {
                shapes.fit_inputs(s, &["RCHW", "RCYX"])?;
                shapes.fit_outputs(s, &["RCHW"])?;
                pool.fits(s)
            }
            Vision::AvgPool2dGrad { pool, .. } => {
                shapes.fit_inputs(s, &["RCYX"])?;
                shapes.fit_outputs(s, &["RCHW"])?;
                pool.fits(s)
            }
            Vision::ConcatChannels => {
                shapes.fit_outputs(s, &["RCHW"])?;
                let plane = [s.of('H'), s.of('W')];
                let mut channels = 0usize;
                for (at, shape) in shapes.inputs.iter().enumerate() {
                    match shape.unwrap_or_default() {
                        [rows, own, across @ ..] if *rows == s.of('R') && across == plane => {
                            channels = channels.saturating_add(*own);
                        }
                        other => {
                            return Err(format!("in[{at}] is {other:?}, which has not the output's rows and sizes"));
                        }
                    }
                }
                equal("the number of channels of the inputs together", channels, s.of('C'))
            }
            Vision::SliceChannels { first } => {
                shapes.fit_inputs(s, &["RCHW"])?;
                shapes.fit_outputs(s, &["ROHW"])?;
                match first.checked_add(s.of('O')) {
                    Some(end) if end <= s.of('C') => Ok(()),
                    _ => Err(format!("{} channels from {first} on are not among {}", s.of('O'), s.of('C'))),
                }
            }
            Vision::Clip(_) | Vision::ClipGrad(_) => {
                let out = shapes.output(0).unwrap_or_default();
                match shapes.inputs.iter().position(|shape| shape.unwrap_or_default() != out) {
                    None => Ok(()),
                    Some(at) => Err(format!("in[{at}] has not the shape {out:?} of the output")),
                }
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
        match self {
            Vision::Conv2d(movement) => {
                let (w, b) = (v.vector(0)?.unwrap_or_default(), v.vector(1)?);
                ops::conv2d(ctx, movement.convolution(s)?, v.floats(0), &w, floats_of(&b), out)
            }
            Vision::Conv2dGradInput(movement) => {
                let w = v.vector(0)?.unwrap_or_default();
                ops::conv2d_grad_input(ctx, movement.convolution(s)?, v.floats(0), &w, out)
            }
            Vision::Conv2dGradWeight(movement) => {
                ops::conv2d_grad_weight(ctx, movement.convolution(s)?, s.of('Q'), v.floats(0), v.floats(1), out)
            }
            Vision::ChannelAffine => {
                let (w, b) = (v.vector(0)?, v.vector(1)?);
                let size = [s.of('C'), s.of('H') * s.of('W')];
                ops::channel_affine(ctx, v.floats(0), size, floats_of(&w), floats_of(&b), out)
            }
            Vision::ChannelSum => {
                let size = [s.of('Q'), s.of('C'), s.of('H') * s.of('W')];
                ops::channel_sum(ctx, v.floats(0), v.maybe_floats(1), size, out)
            }
            Vision::MaxPool2d(pool) => ops::max_pool2d(ctx, pool.plane(s)?, v.floats(0), out),
            Vision::MaxPool2dGrad(pool) => ops::max_pool2d_grad(ctx, pool.plane(s)?, v.floats(0), v.floats(1), out),
            Vision::AvgPool2d { pool, count_padding } => {
                ops::avg_pool2d(ctx, pool.plane(s)?, *count_padding, v.floats(0), out)
            }
            Vision::AvgPool2dGrad { pool, count_padding } => {
                ops::avg_pool2d_grad(ctx, pool.plane(s)?, *count_padding, v.floats(0), out)
            }
            Vision::ConcatChannels => {
                let rows = s.of('R').max(1);
                let parts: Vec<(&[f32], usize)> = v.all_floats().map(|part| (part, part.len() / rows)).collect();
                ops::concat_channels(ctx, &parts, out)
            }
            Vision::SliceChannels { first } => {
                let plane = s.of('H') * s.of('W');
                let sizes = [s.of('R'), s.of('C') * plane, first * plane, s.of('O') * plane];
                ops::slice_channels(ctx, v.floats(0), sizes, out)
            }
            Vision::Clip(bounds) => ops::clip(ctx, v.floats(0), *bounds, out),
            Vision::ClipGrad(bounds) => ops::clip_grad(ctx, v.floats(0), v.floats(1), *bounds, out),
        }
    }
}

impl Movement {
    fn convolution(&self, s: &Sizes) -> Result<Convolution, KernelError> {
        let axis = |at: usize, size: char, window: char| {
            let [before, behind] = self.padding[at];
            let movement = [self.stride[at], before, behind, self.dilation[at]];
            Axis::new(s.of(size), s.of(window), movement, false)
        };
        let plane = Plane { down: axis(0, 'H', 'k')?, across: axis(1, 'W', 'l')? };
        Ok(Convolution { plane, groups: self.groups, before: s.of('I'), after: s.of('O') / self.groups })
    }

    fn fits(&self, s: &Sizes) -> Result<(), String> {
        equal("the number of channels", s.of('I').saturating_mul(self.groups), s.of('C'))?;
        if !s.of('O').is_multiple_of(self.groups) {
            return Err(format!("{} channels do not make {} groups", s.of('O'), self.groups));
        }
        let Convolution { plane, .. } = self.convolution(s).map_err(|why| why.to_string())?;
        places_fit(plane, s)
    }
}

impl Pool {
    fn plane(&self, s: &Sizes) -> Result<Plane, KernelError> {
        let axis = |at: usize, size: char| {
            let [before, behind] = self.padding[at];
            let movement = [self.stride[at], before, behind, self.dilation[at]];
            Axis::new(s.of(size), self.window[at], movement, self.ceil)
        };
        Ok(Plane { down: axis(0, 'H')?, across: axis(1, 'W')? })
    }

    fn fits(&self, s: &Sizes) -> Result<(), String> {
        if s.of('H') == 0 || s.of('W') == 0 {
            return Err("a pool needs images with at least one entry".into());
        }
        places_fit(self.plane(s).map_err(|why| why.to_string())?, s)
    }
}

fn places_fit(plane: Plane, s: &Sizes) -> Result<(), String> {
    equal("the height after the kernel", plane.down.out, s.of('Y'))?;
    equal("the width after the kernel", plane.across.out, s.of('X'))
}

fn movement(attrs: &Attrs<'_>) -> Result<Movement, String> {
    let groups = attrs.count("groups")?;
    if groups == 0 {
        return Err(format!("{} needs at least one group of channels", attrs.kernel));
    }
    let [stride, dilation] = [pair(attrs, "stride", 1)?, pair(attrs, "dilation", 1)?];
    Ok(Movement { stride, padding: padding(attrs)?, dilation, groups })
}

fn pool(attrs: &Attrs<'_>) -> Result<Pool, String> {
    let dilation = if attrs.has("dilation") { pair(attrs, "dilation", 1)? } else { [1, 1] };
    let pool = Pool {
        window: pair(attrs, "window", 1)?,
        stride: pair(attrs, "stride", 1)?,
        padding: padding(attrs)?,
        dilation,
        ceil: attrs.flag("ceil")?,
    };
    if (0..2).any(|at| pool.padding[at].iter().any(|side| 2 * side > pool.window[at])) {
        return Err(format!("{} pads more than half a window, so that one could lie outside the image", attrs.kernel));
    }
    Ok(pool)
}

/// The attributes low and high, each of which may be left out.
fn bounds(attrs: &Attrs<'_>) -> Result<[f32; 2], String> {
    let bound = |name: &str, none: f32| if attrs.has(name) { attrs.number(name) } else { Ok(none) };
    Ok([bound("low", f32::NEG_INFINITY)?, bound("high", f32::INFINITY)?])
}

/// [down, across] on either side, or [top, left, bottom, right].
fn padding(attrs: &Attrs<'_>) -> Result<Padding, String> {
    if let Ok([down, across]) = pair(attrs, "padding", 0) {
        return Ok([[down, down], [across, across]]);
    }
    let read = |value: &Map<String, Json>| match value.get("padding")?.as_array()?.as_slice() {
        [top, left, bottom, right] => Some([[whole(top)?, whole(bottom)?], [whole(left)?, whole(right)?]]),
        _ => None,
    };
    read(attrs.attrs)
        .filter(|sides| sides.iter().flatten().all(|side| *side < 1 << 31))
        .ok_or_else(|| format!("{} needs the attribute padding to be two or four whole numbers from 0", attrs.kernel))
}

/// Two whole numbers from `least` on, so small that sizes made of them do not overflow.
fn pair(attrs: &Attrs<'_>, name: &str, least: usize) -> Result<Pair, String> {
    let read = |value: &Map<String, Json>| match value.get(name)?.as_array()?.as_slice() {
        [a, b] => Some([whole(a)?, whole(b)?]),
        _ => None,
    };
    read(attrs.attrs)
        .filter(|pair| pair.iter().all(|size| (least..1 << 31).contains(size)))
        .ok_or_else(|| format!("{} needs the attribute {name} to be two whole numbers from {least}", attrs.kernel))
}

/// What the sizes of channels are called, with and without rows: rows of features [R, C] are images of one place.
fn letters(s: &mut Sizes, shapes: &StepShapes<'_>) -> Result<(&'static str, &'static str), String> {
    if shapes.input(0).is_none_or(|x| x.len() != 2) {
        return Ok(("RCHW", "CHW"));
    }
    s.set('H', 1)?;
    s.set('W', 1)?;
    Ok(("RC", "C"))
}

/// The rows of an input whose other sizes are those of the pattern.
fn split_rows(s: &mut Sizes, shapes: &StepShapes<'_>, at: usize, pattern: &str) -> Result<usize, String> {
    let (rows, inner) = shapes
        .input(at)
        .and_then(<[usize]>::split_first)
        .ok_or_else(|| format!("in[{at}] is a single number, where rows are needed"))?;
    s.fit(&format!("in[{at}] without its rows"), inner, pattern).map(|()| *rows)
}

fn row_groups(count: usize, rows: &[usize]) -> Result<(), String> {
    match Groups::new(count, rows) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("inputs of {rows:?} rows do not make {count} groups of equal size")),
    }
}
