use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use crate::error::KernelError;
use crate::gemm::Context;

per_isa! {
    fn plane(out: &mut [f32], x: &[f32], w: Option<f32>, b: Option<f32>) {
        let pairs = out.iter_mut().zip(x);
        match (w, b) {
            (Some(w), Some(b)) => pairs.for_each(|(out, x)| *out = x.mul_add(w, b)),
            (Some(w), None) => pairs.for_each(|(out, x)| *out = x * w),
            (None, Some(b)) => pairs.for_each(|(out, x)| *out = x + b),
            (None, None) => pairs.for_each(|(out, x)| *out = *x),
        }
    }
}

/// x·w[c] + b[c] for every entry of channel c, fused; x is [rows, channels, places]. Exact.
pub fn channel_affine(
    ctx: &Context<'_>,
    x: &[f32],
    [channels, places]: [usize; 2],
    w: Option<&[f32]>,
    b: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    for (what, vector) in [("w of channel_affine", w), ("b of channel_affine", b)] {
        if let Some(vector) = vector {
            expect_len(what, vector.len(), &[channels])?;
        }
    }
    expect_len("x of channel_affine", x.len(), &[out.len()])?;
    let maps = row_count("x of channel_affine", x.len(), places)?;
    if maps == 0 {
        return ctx.result();
    }
    expect_len("x of channel_affine", maps, &[maps / channels.max(1), channels])?;
    fill_rows(ctx, maps, places, [(out, places)], &|range, [out]| {
        for (map, (out, x)) in
            range.clone().zip(out.chunks_exact_mut(places).zip(x[range.start * places..].chunks_exact(places)))
        {
            let at = map % channels;
            plane(ctx.isa, out, x, w.map(|w| w[at]), b.map(|b| b[at]));
        }
    })
}
