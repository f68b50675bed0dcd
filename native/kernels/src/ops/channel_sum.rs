use super::groups::Groups;
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn chain(from: f32, ct: &[f32], x: Option<&[f32]>) -> f32 {
        match x {
            Some(x) => ct.iter().zip(x).fold(from, |sum, (ct, x)| ct.mul_add(*x, sum)),
            None => ct.iter().fold(from, |sum, ct| sum + ct),
        }
    }
}

/// out[g, c] = Σ ct[r, c, place] (· x[r, c, place]) over the rows of group g: one chain over the rows and, in a row, over the
/// places, ascending from +0; fused where there is x, which may have fewer rows. Bounded: terms·u·Σ|terms|.
pub fn channel_sum(
    ctx: &Context<'_>,
    ct: &[f32],
    x: Option<&[f32]>,
    [count, channels, places]: [usize; 3],
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("out of channel_sum", out.len(), &[count, channels])?;
    if out.is_empty() || places == 0 {
        out.fill(0.0);
        return ctx.result();
    }
    let width = channels * places;
    let all = row_count("ct of channel_sum", ct.len(), width)?;
    let own = [all, x.map_or(Ok(all), |x| row_count("x of channel_sum", x.len(), width))?];
    let groups = Groups::new(count, &own)?;
    fill_rows(ctx, out.len(), 4 * groups.rows * places, [(out, 1)], &|range, [out]| {
        for (at, out) in range.zip(out) {
            let (group, channel) = (at / channels, at % channels);
            let part = |data, row| {
                let from = row * width + channel * places;
                &<[f32]>::as_ref(data)[from..from + places]
            };
            *out = (0..groups.rows).fold(0.0, |sum, row| {
                let x = x.map(|x| part(x, groups.row(group, row, own[1])));
                chain(ctx.isa, sum, part(ct, groups.row(group, row, own[0])), x)
            });
        }
    })
}
