//! Before a call starts: do the shapes of each step fit its kernel, its neighbours and its weights?

use super::check_gradient::check_gradient;
use super::kernel::{Kernel, ValueShape};
use super::program::Dim;
use super::shapes::{Sizes, leading_rows};
use crate::ops::STATISTICS;

/// The bound shapes around one step, in the order of its ports; an absent value is `None`.
pub(crate) struct StepShapes<'a> {
    pub inputs: Vec<Option<&'a [usize]>>,
    pub outputs: Vec<Option<&'a [usize]>>,
    pub params: Vec<Option<&'a [usize]>>,
}

impl<'a> StepShapes<'a> {
    pub(super) fn input(&self, at: usize) -> Option<&'a [usize]> {
        self.inputs.get(at).copied().flatten()
    }

    pub(super) fn output(&self, at: usize) -> Option<&'a [usize]> {
        self.outputs.get(at).copied().flatten()
    }

    pub(super) fn param(&self, at: usize) -> Option<&'a [usize]> {
        self.params.get(at).copied().flatten()
    }

    pub(super) fn fit_inputs(&self, sizes: &mut Sizes, patterns: &[&str]) -> Result<(), String> {
        fit("in", sizes, &self.inputs, patterns)
    }

    pub(super) fn fit_outputs(&self, sizes: &mut Sizes, patterns: &[&str]) -> Result<(), String> {
        fit("out", sizes, &self.outputs, patterns)
    }

    pub(super) fn fit_matrix(&self, sizes: &mut Sizes, pattern: &str) -> Result<(), String> {
        fit("params", sizes, &self.params[..1], &[pattern])
    }

    /// A flat param may be written in several dimensions, its length may not vary.
    pub(super) fn fit_vector(&self, at: usize, expected: usize) -> Result<(), String> {
        match self.param(at).map(|shape| shape.iter().product::<usize>()) {
            Some(length) if length != expected => {
                Err(format!("params[{at}] has {length} elements, where {expected} are needed"))
            }
            _ => Ok(()),
        }
    }
}

fn fit(what: &str, sizes: &mut Sizes, shapes: &[Option<&[usize]>], patterns: &[&str]) -> Result<(), String> {
    for (at, (shape, pattern)) in shapes.iter().zip(patterns).enumerate() {
        if let Some(shape) = shape {
            sizes.fit(&format!("{what}[{at}]"), shape, pattern)?;
        }
    }
    Ok(())
}

pub(super) fn multiple(what: &str, number: usize, of: usize) -> Result<(), String> {
    let fits = number.is_multiple_of(of);
    if fits { Ok(()) } else { Err(format!("{what} {number} is no multiple of {of}")) }
}

pub(super) fn equal(what: &str, expected: usize, got: usize) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what} is {got}, where {expected} is needed")) }
}

/// That sizes of a call, given by `bind`, multiply without overflow; an empty dimension hides no huge one.
pub(crate) fn checked_product(sizes: &[usize]) -> Option<usize> {
    let cover = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)))?;
    (cover <= 1 << 53).then(|| sizes.iter().product())
}

/// The sizes by which [`super::run`] calls the kernel, or what does not fit.
pub(crate) fn check_step(
    kernel: &Kernel,
    shapes: &StepShapes<'_>,
    bind: &dyn Fn(Dim) -> usize,
) -> Result<Sizes, String> {
    let mut sizes = Sizes::default();
    let s = &mut sizes;
    match kernel {
        Kernel::Embed { transposed } => {
            shapes.fit_matrix(s, if *transposed { "mV" } else { "Vm" })?;
            shapes.fit_inputs(s, &["."])?;
            shapes.fit_outputs(s, &[".m"])?;
        }
        Kernel::Sum => {
            let out = shapes.output(0).unwrap_or_default();
            for (at, shape) in shapes.inputs.iter().enumerate() {
                let shape = shape.unwrap_or_default();
                // A term may have fewer rows, which the variants share.
                let fits = match (shape.split_first(), out.split_first()) {
                    (Some((own, inner)), Some((rows, rest))) => inner == rest && rows.is_multiple_of(*own),
                    (one, other) => one == other,
                };
                if !fits {
                    return Err(format!("in[{at}] is {shape:?}, where {out:?} or a share of its rows is needed"));
                }
            }
        }
        Kernel::Mul
        | Kernel::Subtract
        | Kernel::WhereNonzero
        | Kernel::Scale { .. }
        | Kernel::SoftCap { .. }
        | Kernel::SoftCapGrad { .. }
        | Kernel::Activation { .. }
        | Kernel::ActivationGrad { .. } => {
            shapes.fit_inputs(s, &vec!["."; shapes.inputs.len()])?;
            shapes.fit_outputs(s, &["."])?;
        }
        Kernel::NormScale { .. } => {
            shapes.fit_inputs(s, &[".m"])?;
            shapes.fit_outputs(s, &[".1"])?;
        }
        Kernel::Normalize { .. } => {
            shapes.fit_inputs(s, &[".m", ".1"])?;
            shapes.fit_outputs(s, &[".m"])?;
        }
        Kernel::Affine | Kernel::Norm { .. } => {
            shapes.fit_inputs(s, &[".m"])?;
            shapes.fit_outputs(s, &[".m", ".1", ".m"])?;
            shapes.fit_vector(0, s.of('m'))?;
            shapes.fit_vector(1, s.of('m'))?;
        }
        Kernel::Softmax | Kernel::SoftmaxGrad | Kernel::JumpRelu | Kernel::TopKMask { .. } => {
            shapes.fit_inputs(s, &[".n", ".n"])?;
            shapes.fit_vector(0, s.of('n'))?;
            shapes.fit_outputs(s, &[".n"])?;
        }
        Kernel::Linear { transposed, beta, .. } => {
            shapes.fit_matrix(s, if *transposed { "NK" } else { "KN" })?;
            shapes.fit_vector(1, s.of('N'))?;
            let rows = leading_rows("in[0]", shapes.input(0).unwrap_or_default(), s.of('K'))?;
            let out = leading_rows("out[0]", shapes.output(0).unwrap_or_default(), s.of('N'))?;
            equal("the number of rows of out[0]", rows, out)?;
            if *beta != 0.0 && shapes.input(1).is_none() {
                return Err("beta is a factor of in[1], which is left out".into());
            }
            if let Some(onto) = shapes.input(1) {
                equal("the number of rows of in[1]", rows, leading_rows("in[1]", onto, s.of('N'))?)?;
            }
            s.set('R', rows)?;
        }
        Kernel::HeadLinear { transposed: true } => {
            shapes.fit_matrix(s, "KN")?;
            if shapes.param(1).is_some() {
                return Err("a bias belongs to the columns of W, which are summed over where it is transposed".into());
            }
            shapes.fit_inputs(s, &["RPHd"])?;
            shapes.fit_outputs(s, &["RPHK"])?;
            equal("heads times width", s.of('N'), s.of('H').saturating_mul(s.of('d')))?;
        }
        Kernel::HeadLinear { transposed: false } => {
            shapes.fit_matrix(s, "KN")?;
            shapes.fit_vector(1, s.of('N'))?;
            shapes.fit_inputs(s, &["RPHK"])?;
            shapes.fit_outputs(s, &["RPHd"])?;
            equal("heads times width", s.of('N'), s.of('H').saturating_mul(s.of('d')))?;
        }
        Kernel::HeadResult { head } => {
            shapes.fit_matrix(s, "KN")?;
            shapes.fit_inputs(s, &["RPHd"])?;
            shapes.fit_outputs(s, &[if head.is_some() { "RPN" } else { "RPHN" }])?;
            equal("heads times width", s.of('K'), s.of('H').saturating_mul(s.of('d')))?;
            head_among(*head, s.of('H'))?;
        }
        Kernel::Rotary { dims, .. } => {
            shapes.fit_inputs(s, &["RPHd", "RP"])?;
            shapes.fit_outputs(s, &["RPHd"])?;
            if dims % 2 != 0 || *dims > s.of('d') {
                return Err(format!("dims is {dims}, where an even number up to {} is needed", s.of('d')));
            }
            let table: usize = shapes.param(0).unwrap_or_default().iter().product();
            multiple("the length of params[0]", table, dims / 2)
                .or_else(|why| if *dims == 0 { Ok(()) } else { Err(why) })?;
            shapes.fit_vector(1, table)?;
        }
        Kernel::Rotate { .. } => {
            shapes.fit_inputs(s, &["RPHd", "RPw", "RPw"])?;
            shapes.fit_outputs(s, &["RPHd"])?;
            if s.of('w') > s.of('d') / 2 {
                return Err(format!("in[1] has {} waves, where at most half of {} are needed", s.of('w'), s.of('d')));
            }
        }
        Kernel::Scores { .. } => {
            shapes.fit_inputs(s, &["RPHd", "RSGd", "RS"])?;
            shapes.fit_outputs(s, &["RHPS"])?;
            multiple("heads", s.of('H'), s.of('G'))?;
        }
        Kernel::Mix => {
            shapes.fit_inputs(s, &["RHPS", "RSGw"])?;
            shapes.fit_outputs(s, &["RPHw"])?;
            multiple("heads", s.of('H'), s.of('G'))?;
        }
        Kernel::Attention { .. } => {
            shapes.fit_inputs(s, &["RPHd", "RSGd", "RSGw", "RS", "PS", "RS"])?;
            shapes.fit_outputs(s, &["RPHw", "RHPS", "RHPS"])?;
            multiple("heads", s.of('H'), s.of('G'))?;
            for (at, input, of) in [(0, 4, "buckets"), (1, 5, "positions")] {
                if shapes.param(at).is_some() != shapes.input(input).is_some() {
                    return Err(format!("params[{at}] goes with the {of}; one of them is left out"));
                }
            }
            if let Some(table) = shapes.param(0) {
                multiple("the length of params[0]", table.iter().product(), s.of('H').max(1))?;
            }
            shapes.fit_vector(1, s.of('H'))?;
        }
        Kernel::Repeat => {
            let (x, out) = (shapes.input(0).unwrap_or_default(), shapes.output(0).unwrap_or_default());
            let (Some((&batch, rest)), Some((&rows, out_rest))) = (x.split_first(), out.split_first()) else {
                return Err("a scalar has no rows to repeat".into());
            };
            if rest != out_rest {
                return Err(format!("out[0] is {out:?}, where rows of {rest:?} are needed"));
            }
            multiple("the number of rows of out[0]", rows, batch)?;
        }
        Kernel::Reshape => {
            let entries = |shape: Option<&[usize]>| shape.unwrap_or_default().iter().product::<usize>();
            equal("entries of in[0] and out[0]", entries(shapes.input(0)), entries(shapes.output(0)))?;
        }
        Kernel::GatherRows => {
            let (x, out) = (shapes.input(0).unwrap_or_default(), shapes.output(0).unwrap_or_default());
            let (&[rows, pos, ref rest @ ..], &[out_rows, groups, ref out_rest @ ..]) = (x, out) else {
                return Err(format!("in[0] {x:?} and out[0] {out:?} need rows and positions"));
            };
            equal("the number of rows of out[0]", rows, out_rows)?;
            if rest != out_rest {
                return Err(format!("out[0] is {out:?}, where entries of {rest:?} are needed"));
            }
            s.set('R', rows)?;
            s.set('G', groups)?;
            s.set('P', pos)?;
            s.set('w', rest.iter().product())?;
            s.fit("in[1]", shapes.input(1).unwrap_or_default(), "RG")?;
        }
        Kernel::AddAlibi => {
            shapes.fit_inputs(s, &["RHPS", "RS"])?;
            shapes.fit_outputs(s, &["RHPS"])?;
            shapes.fit_vector(0, s.of('H'))?;
        }
        Kernel::AddBias => {
            shapes.fit_inputs(s, &["RHPS", "PS"])?;
            shapes.fit_outputs(s, &["RHPS"])?;
            let length: usize = shapes.param(0).unwrap_or_default().iter().product();
            multiple("the length of params[0]", length, s.of('H').max(1))?;
            s.set('B', length / s.of('H').max(1))?;
        }
        Kernel::ConcatPositions => {
            let (past, x, out) = (
                shapes.input(0).unwrap_or_default(),
                shapes.input(1).unwrap_or_default(),
                shapes.output(0).unwrap_or_default(),
            );
            let (&[rows, before, ref rest @ ..], &[x_rows, pos, ref x_rest @ ..]) = (past, x) else {
                return Err(format!("in[0] {past:?} and in[1] {x:?} need rows and positions"));
            };
            equal("the number of rows of in[1]", rows, x_rows)?;
            if rest != x_rest {
                return Err(format!("in[1] is {x:?}, where entries of {rest:?} are needed"));
            }
            let expected: Vec<usize> = [rows, before + pos].iter().chain(rest).copied().collect();
            if out != expected {
                return Err(format!("out[0] is {out:?}, where {expected:?} is needed"));
            }
            s.set('R', rows)?;
            s.set('T', before)?;
            s.set('P', pos)?;
            s.set('w', rest.iter().product())?;
        }
        Kernel::Outer => {
            s.set('n', shapes.input(1).unwrap_or_default().iter().product())?;
            shapes.fit_inputs(s, &["."])?;
            shapes.fit_outputs(s, &[".n"])?;
        }
        Kernel::Columns => {
            shapes.fit_matrix(s, "mV")?;
            shapes.fit_vector(1, s.of('V'))?;
            shapes.fit_inputs(s, &["RGm", "RC"])?;
            shapes.fit_outputs(s, &["RGC"])?;
        }
        Kernel::CrossEntropy => {
            shapes.fit_inputs(s, &[".V", "."])?;
            shapes.fit_outputs(s, &["."])?;
        }
        Kernel::TopK { k } => {
            s.set('k', *k)?;
            shapes.fit_inputs(s, &[".n"])?;
            shapes.fit_outputs(s, &[".k", ".k"])?;
        }
        Kernel::Edit { dims, value, .. } => {
            check_inner(s, shapes, dims, bind)?;
            for (at, pattern) in [(2, "Ra"), (3, "Rb"), (4, "Rc"), (5, "R")] {
                if let Some(shape) = shapes.input(at) {
                    s.fit(&format!("in[{at}]"), shape, pattern)?;
                }
            }
            let length = shapes.input(1).unwrap_or_default().iter().product::<usize>();
            let plane = s.of('b') * s.of('c');
            match value {
                ValueShape::None => {}
                ValueShape::Scalar => equal("the length of the value", 1, length)?,
                ValueShape::Vector => equal("the length of the value", plane, length)?,
                ValueShape::Rows => {
                    multiple("the length of the value", length, s.of('a') * plane)?;
                    if length == 0 && s.of('R') * s.of('a') * plane > 0 {
                        return Err("the value is empty".into());
                    }
                }
            }
        }
        Kernel::Direction { dims, .. } => {
            check_inner(s, shapes, dims, bind)?;
            let dir = shapes.input(1).unwrap_or_default();
            // One direction for all rows, or one for each.
            s.fit("in[1]", dir, if dir.len() == 2 { "Rc" } else { "c" })?;
            for (at, pattern) in [(2, "Ra"), (3, "Rb"), (4, "R")] {
                if let Some(shape) = shapes.input(at) {
                    s.fit(&format!("in[{at}]"), shape, pattern)?;
                }
            }
        }
        Kernel::EdgeRead { heads } => {
            let copies = (*heads).max(1);
            s.set('H', copies)?;
            let writers = shapes.inputs.len() - 2;
            s.set('U', writers)?;
            match shapes.input(writers + 1) {
                Some(mask) => s.fit("the mask", mask, "RHU")?,
                None if writers == 0 => {
                    s.set('R', shapes.input(0).unwrap_or_default().first().copied().unwrap_or(0))?
                }
                None => return Err("the mask is left out, but there are writers".into()),
            }
            // x and the writers' outputs may have fewer rows, which the variants share.
            for (at, shape) in shapes.inputs[..writers + 1].iter().enumerate() {
                let shape = shape.unwrap_or_default();
                let Some((own, inner)) = shape.split_first() else {
                    return Err(format!("in[{at}] is a single number"));
                };
                s.fit(&format!("in[{at}] without its rows"), inner, "Pm")?;
                if !s.of('R').is_multiple_of(*own) {
                    return Err(format!("in[{at}] has {own} rows, which do not divide the {} of the read", s.of('R')));
                }
            }
            shapes.fit_outputs(s, &[if *heads == 0 { "RPm" } else { "RPHm" }])?;
        }
        Kernel::PairDots => {
            let with_vectors = |shape: &[usize]| match *shape {
                [rows, pos, width] => Ok([rows, pos, 1, width]),
                [rows, pos, vectors, width] => Ok([rows, pos, vectors, width]),
                _ => Err(format!("{shape:?} needs rows, positions, perhaps vectors, and a width")),
            };
            let [rows, pos, vectors, width] = with_vectors(shapes.input(0).unwrap_or_default())?;
            let mut all = 0usize;
            for (at, shape) in shapes.inputs.iter().enumerate().skip(1) {
                let [own, p, count, w] = with_vectors(shape.unwrap_or_default())?;
                equal(&format!("the positions of in[{at}]"), pos, p)?;
                equal(&format!("the width of in[{at}]"), width, w)?;
                if own == 0 && rows != 0 || own != 0 && !rows.is_multiple_of(own) {
                    return Err(format!("in[{at}] has {own} rows, which do not divide the {rows} of in[0]"));
                }
                all = all.saturating_add(count);
            }
            for (symbol, size) in [('R', rows), ('P', pos), ('H', vectors), ('m', width), ('U', all)] {
                s.set(symbol, size)?;
            }
            shapes.fit_outputs(s, &["RUH"])?;
        }
        Kernel::ProjectDot => {
            s.set('n', shapes.input(1).unwrap_or_default().iter().product())?;
            shapes.fit_inputs(s, &[".n"])?;
            shapes.fit_outputs(s, &["."])?;
        }
        Kernel::BiasActTopK { k, .. } => {
            s.set('k', *k)?;
            shapes.fit_matrix(s, "dF")?;
            shapes.fit_vector(1, s.of('F'))?;
            shapes.fit_vector(2, s.of('F'))?;
            shapes.fit_inputs(s, &[".d"])?;
            shapes.fit_outputs(s, &[".k", ".k", "."])?;
        }
        Kernel::ActiveTopK { k } => {
            s.set('k', *k)?;
            shapes.fit_inputs(s, &[".n"])?;
            shapes.fit_outputs(s, &[".k", ".k", "."])?;
        }
        Kernel::ProjectCsr { .. } => {
            shapes.fit_matrix(s, "dF")?;
            shapes.fit_vector(1, s.of('F'))?;
            shapes.fit_vector(2, s.of('F'))?;
            shapes.fit_inputs(s, &[".d"])?;
            sparse_rows(s, shapes)?;
        }
        Kernel::ActiveCsr { .. } => {
            shapes.fit_inputs(s, &[".n"])?;
            sparse_rows(s, shapes)?;
        }
        Kernel::VocabStatistics { k, .. } => {
            s.set('k', *k)?;
            s.set('s', STATISTICS)?;
            shapes.fit_matrix(s, "mV")?;
            shapes.fit_vector(1, s.of('V'))?;
            shapes.fit_inputs(s, &[".m", "."])?;
            shapes.fit_outputs(s, &[".s", ".k", ".k"])?;
            if let Some(reference) = shapes.input(2) {
                let rows =
                    shapes.input(0).unwrap_or_default().split_last().map_or(1, |(_, rows)| rows.iter().product());
                let others = leading_rows("in[2]", reference, s.of('m'))?;
                if rows > 0 && (others == 0 || !usize::is_multiple_of(rows, others)) {
                    return Err(format!("in[2] has {others} rows, which do not divide the {rows} of in[0]"));
                }
            }
        }
        Kernel::Experts(experts) => experts.check(shapes, s)?,
        Kernel::Vision(vision) => vision.check(shapes, s)?,
        Kernel::Doubles(doubles) => doubles.check(shapes, s)?,
        _ => check_gradient(kernel, shapes, s)?,
    }
    Ok(sizes)
}

/// Values and latents have one length, and there is one more start than there are rows.
fn sparse_rows(s: &mut Sizes, shapes: &StepShapes<'_>) -> Result<(), String> {
    shapes.fit_outputs(s, &["C", "C"])?;
    let x = shapes.input(0).unwrap_or_default();
    let tokens = x.split_last().map_or(0, |(_, leading)| leading.iter().product::<usize>());
    let starts = shapes.output(2).unwrap_or_default();
    equal("the length of out[2]", tokens + 1, if let [starts] = starts { *starts } else { 0 })
}

pub(super) fn head_among(head: Option<usize>, heads: usize) -> Result<(), String> {
    match head {
        Some(head) if head >= heads => Err(format!("the head {head} is none of {heads}")),
        _ => Ok(()),
    }
}

/// x seen as [R, a, b, c], the inner sizes being the attribute `dims`; the output has the shape of x.
fn check_inner(
    s: &mut Sizes,
    shapes: &StepShapes<'_>,
    dims: &[Dim; 3],
    bind: &dyn Fn(Dim) -> usize,
) -> Result<(), String> {
    let x = shapes.input(0).unwrap_or_default();
    let Some(&rows) = x.first() else { return Err("in[0] has no rows".into()) };
    let [a, b, c] = dims.map(bind);
    let inner = checked_product(&[rows, a, b, c]).ok_or("dims are too large")?;
    equal("the number of entries by dims", x.iter().product(), inner)?;
    if shapes.output(0) != Some(x) {
        return Err(format!("out[0] is {:?}, where {x:?} is needed", shapes.output(0).unwrap_or_default()));
    }
    for (letter, size) in [('R', rows), ('a', a), ('b', b), ('c', c)] {
        s.set(letter, size)?;
    }
    Ok(())
}
