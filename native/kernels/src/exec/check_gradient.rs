//! As [`super::check`], for the kernels of gradients.

use super::check::{StepShapes, equal, head_among, multiple};
use super::kernel::Kernel;
use super::shapes::{Sizes, leading_rows};
use crate::ops::Groups;

/// Fixes the sizes of a step by which its kernel is called. A kernel of none of these is a defect of the caller.
pub(super) fn check_gradient(kernel: &Kernel, shapes: &StepShapes<'_>, s: &mut Sizes) -> Result<(), String> {
    match kernel {
        Kernel::HeadResultGrad { head } => {
            shapes.fit_matrix(s, "Km")?;
            shapes.fit_inputs(s, &[if head.is_some() { "RPm" } else { "RPHm" }])?;
            shapes.fit_outputs(s, &["RPHd"])?;
            equal("heads times width", s.of('K'), s.of('H').saturating_mul(s.of('d')))?;
            head_among(*head, s.of('H'))?;
        }
        Kernel::MixTransposed => {
            shapes.fit_inputs(s, &["RHPS", "RPHw"])?;
            shapes.fit_outputs(s, &["RSGw"])?;
            multiple("heads", s.of('H'), s.of('G'))?;
        }
        Kernel::AttentionGrad(_) => {
            shapes.fit_inputs(s, &["RPHd", "RSGd", "RSGw", "RHPS", "RPHw"])?;
            shapes.fit_outputs(s, &["RPHd", "RSGd", "RSGw", "RHPS"])?;
            multiple("heads", s.of('H'), s.of('G'))?;
        }
        Kernel::ScatterRows => {
            let (ct, out) = (shapes.input(0).unwrap_or_default(), shapes.output(0).unwrap_or_default());
            let (&[rows, groups, ref rest @ ..], &[out_rows, pos, ref out_rest @ ..]) = (ct, out) else {
                return Err(format!("in[0] {ct:?} and out[0] {out:?} need rows and positions"));
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
        Kernel::ColumnsGrad => {
            shapes.fit_matrix(s, "mV")?;
            shapes.fit_inputs(s, &["RGC", "RC"])?;
            shapes.fit_outputs(s, &["RGm"])?;
        }
        Kernel::ColumnsGradWeight => {
            shapes.fit_outputs(s, &["QmV"])?;
            let rows = rows_and_inner(s, shapes, &["Gm", "C", "GC"])?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::AddAlibiGrad => {
            shapes.fit_outputs(s, &["QH"])?;
            let rows = rows_and_inner(s, shapes, &["S", "HPS"])?;
            s.set('R', rows[1])?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::AddBiasGrad => {
            shapes.fit_outputs(s, &["QBH"])?;
            shapes.fit_inputs(s, &["PS", "RHPS"])?;
            groups(s.of('Q'), &[s.of('R')])?;
        }
        Kernel::ColumnsGradBias => {
            shapes.fit_outputs(s, &["QV"])?;
            let rows = rows_and_inner(s, shapes, &["C", "GC"])?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::LinearGradWeight => {
            shapes.fit_outputs(s, &["QKN"])?;
            let x = leading_rows("in[0]", shapes.input(0).unwrap_or_default(), s.of('K'))?;
            let ct = leading_rows("in[1]", shapes.input(1).unwrap_or_default(), s.of('N'))?;
            groups(s.of('Q'), &[x, ct])?;
        }
        Kernel::HeadLinearGradWeight => {
            shapes.fit_outputs(s, &["QKN"])?;
            let rows = rows_and_inner(s, shapes, &["PHK", "PHd"])?;
            equal("heads times width", s.of('N'), s.of('H').saturating_mul(s.of('d')))?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::HeadResultGradWeight { head } => {
            shapes.fit_outputs(s, &["QKm"])?;
            let rows = rows_and_inner(s, shapes, &["PHd", if head.is_some() { "Pm" } else { "PHm" }])?;
            equal("heads times width", s.of('K'), s.of('H').saturating_mul(s.of('d')))?;
            head_among(*head, s.of('H'))?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::ColumnSum => {
            shapes.fit_outputs(s, &["QN"])?;
            let mut rows = vec![leading_rows("in[0]", shapes.input(0).unwrap_or_default(), s.of('N'))?];
            if let Some(x) = shapes.input(1) {
                rows.push(leading_rows("in[1]", x, s.of('N'))?);
            }
            groups(s.of('Q'), &rows)?;
        }
        Kernel::EmbedGrad { transposed } => {
            shapes.fit_outputs(s, &[if *transposed { "QmV" } else { "QVm" }])?;
            let rows = rows_and_inner(s, shapes, &["P", "Pm"])?;
            groups(s.of('Q'), &rows)?;
        }
        Kernel::NormalizeGrad { .. } => {
            shapes.fit_inputs(s, &[".1", ".m"])?;
            shapes.fit_outputs(s, &[".m"])?;
        }
        Kernel::NormalizeGradScale { .. } => {
            shapes.fit_inputs(s, &[".m", ".1", ".m"])?;
            shapes.fit_outputs(s, &[".1"])?;
        }
        Kernel::NormScaleGrad { .. } => {
            shapes.fit_inputs(s, &[".m", ".1", ".1"])?;
            shapes.fit_outputs(s, &[".m"])?;
        }
        Kernel::NormGrad { .. } => {
            shapes.fit_inputs(s, &[".m", ".1", ".m"])?;
            shapes.fit_outputs(s, &[".m"])?;
            shapes.fit_vector(0, s.of('m'))?;
        }
        Kernel::CrossEntropyGrad => {
            shapes.fit_inputs(s, &[".V", ".", "."])?;
            shapes.fit_outputs(s, &[".V"])?;
        }
        Kernel::EdgeReadGrad { heads, delta } => {
            s.set('H', (*heads).max(1))?;
            shapes.fit_inputs(s, &[if *heads == 0 { "RPm" } else { "RPHm" }, "RHU"])?;
            shapes.fit_outputs(s, &["RPm"])?;
            match (delta, shapes.input(1)) {
                (Some(_), None) => return Err("the mask of the writer is left out".into()),
                (Some(delta), _) if *delta >= s.of('U') => {
                    return Err(format!("the writer {delta} is none of {}", s.of('U')));
                }
                _ => {}
            }
        }
        _ => return Err(format!("the shapes of {} are not known", kernel.name())),
    }
    Ok(())
}

/// The rows of each input, whose other sizes are those of the patterns.
fn rows_and_inner(s: &mut Sizes, shapes: &StepShapes<'_>, patterns: &[&str]) -> Result<Vec<usize>, String> {
    patterns
        .iter()
        .enumerate()
        .map(|(at, pattern)| {
            let (rows, inner) = shapes
                .input(at)
                .and_then(<[usize]>::split_first)
                .ok_or_else(|| format!("in[{at}] is a single number, where rows are needed"))?;
            s.fit(&format!("in[{at}] without its rows"), inner, pattern).map(|()| *rows)
        })
        .collect()
}

/// That the rows of the inputs make `count` groups.
fn groups(count: usize, rows: &[usize]) -> Result<(), String> {
    match Groups::new(count, rows) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("inputs of {rows:?} rows do not make {count} groups of equal size")),
    }
}
