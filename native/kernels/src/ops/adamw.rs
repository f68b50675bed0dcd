use super::per_isa::per_isa;

/// The numbers of one update of AdamW, all in float64.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// The gradient is multiplied by it first (clipping).
    pub factor: f64,
    pub beta1: f64,
    pub beta2: f64,
    /// What decay leaves of a weight.
    pub keep: f64,
    /// Learning rate over 1 − β₁ᵗ.
    pub size: f64,
    /// √(1 − β₂ᵗ).
    pub root: f64,
    pub eps: f64,
}

per_isa! {
    /// One update of as many weights as the shortest slice has, and of their moments. In float64, one rounding where each is
    /// stored, nothing fused: the bits of the same loop in JavaScript. Exact.
    /// Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    pub fn adamw(with: AdamW, gradient: &[f32], weights: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        let AdamW { factor, beta1, beta2, keep, size, root, eps } = with;
        let (rest1, rest2) = (1.0 - beta1, 1.0 - beta2);
        for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = f64::from(*g) * factor;
            let before = f64::from(*m);
            let mean = before + (g - before) * rest1;
            let square = f64::from(*v) * beta2 + g * g * rest2;
            *m = mean as f32;
            *v = square as f32;
            *w = (f64::from(*w) * keep - size * (mean / (square.sqrt() / root + eps))) as f32;
        }
    }
}
