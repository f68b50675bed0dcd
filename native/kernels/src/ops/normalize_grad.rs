use super::norm_scale::Kind;
use super::normalize::normalize;
use crate::error::KernelError;
use crate::gemm::Context;

/// The cotangent of x under normalize, its scale held: layer (ct − mean ct)/scale, rms ct/scale. Centring is its own
/// transpose, so these are the bits of normalize. Exact.
pub fn normalize_grad(
    ctx: &Context<'_>,
    scale: &[f32],
    ct: &[f32],
    width: usize,
    kind: Kind,
    out: &mut [f32],
) -> Result<(), KernelError> {
    normalize(ctx, ct, scale, width, kind, out)
}
