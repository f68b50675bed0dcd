use super::activation::Function;
use super::linear::{Linear, linear};
use super::mul::mul;
use super::per_isa::per_isa;
use super::split::{expect_len, fill_rows, row_count};
use super::tree::tree_dot;
use crate::error::KernelError;
use crate::gemm::Context;
use crate::pack::PackedMatrix;
use crate::scratch::with_scratch;

/// One expert's column of the gates [tokens, experts].
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    pub gates: &'a [f32],
    pub experts: usize,
    pub expert: usize,
}

impl Gate<'_> {
    fn of(&self, token: usize) -> f32 {
        self.gates[token * self.experts + self.expert]
    }

    /// How many tokens there are gates for.
    fn tokens(&self) -> Result<usize, KernelError> {
        if self.expert >= self.experts {
            return Err(KernelError::OutOfRange { what: "expert", limit: self.experts, got: self.expert });
        }
        row_count("gates", self.gates.len(), self.experts)
    }
}

per_isa! {
    fn add(out: &mut [f32], y: &[f32], gate: f32) {
        for (out, y) in out.iter_mut().zip(y) {
            let product = gate * y;
            *out += product;
        }
    }
}

per_isa! {
    fn begin(out: &mut [f32], y: &[f32], gate: f32) {
        for (out, y) in out.iter_mut().zip(y) {
            *out = gate * y;
        }
    }
}

fn apply(ctx: &Context<'_>, adds: bool, out: &mut [f32], y: &[f32], gate: f32) {
    if adds { add(ctx.isa, out, y, gate) } else { begin(ctx.isa, out, y, gate) }
}

/// x + gate·y in tokens of `width`, product and sum rounded one by one; where the gate is 0 just x, and y is not read. Without x,
/// 0 and gate·y. Exact.
pub fn add_gated(
    ctx: &Context<'_>,
    x: Option<&[f32]>,
    y: &[f32],
    width: usize,
    gate: Gate<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("y of add_gated", y.len(), &[out.len()])?;
    expect_len("x of add_gated", x.map_or(out.len(), <[f32]>::len), &[out.len()])?;
    let tokens = gate.tokens()?;
    expect_len("out of add_gated", out.len(), &[tokens, width])?;
    fill_rows(ctx, tokens, 2 * width, [(out, width)], &|tokens, [out]| {
        let first = tokens.start;
        start(x, first * width, out);
        for token in tokens {
            let (from, factor) = ((token - first) * width, gate.of(token));
            if factor != 0.0 {
                apply(ctx, x.is_some(), &mut out[from..from + width], &y[token * width..(token + 1) * width], factor);
            }
        }
    })
}

fn start(x: Option<&[f32]>, from: usize, out: &mut [f32]) {
    match x {
        Some(x) => out.copy_from_slice(&x[from..from + out.len()]),
        None => out.fill(0.0),
    }
}

per_isa! {
    fn dot(y: &[f32], ct: &[f32]) -> f32 {
        tree_dot(y, ct)
    }
}

/// Σ y·ct of each token of `width` at the expert's place of out [tokens, experts], by the tree; 0 at the other places. Exact.
pub fn gate_grad(
    ctx: &Context<'_>,
    y: &[f32],
    ct: &[f32],
    width: usize,
    [expert, experts]: [usize; 2],
    out: &mut [f32],
) -> Result<(), KernelError> {
    if expert >= experts {
        return Err(KernelError::OutOfRange { what: "expert", limit: experts, got: expert });
    }
    let tokens = row_count("out of gate_grad", out.len(), experts)?;
    expect_len("y of gate_grad", y.len(), &[tokens, width])?;
    expect_len("ct of gate_grad", ct.len(), &[tokens, width])?;
    fill_rows(ctx, tokens, width, [(out, experts)], &|tokens, [out]| {
        for (token, out) in tokens.zip(out.chunks_exact_mut(experts)) {
            let part = token * width..(token + 1) * width;
            out.fill(0.0);
            out[expert] = dot(ctx.isa, &y[part.clone()], &ct[part]);
        }
    })
}

/// The matrices of one expert: a gated MLP.
#[derive(Clone, Copy)]
pub struct ExpertWeights<'a> {
    pub gate: &'a PackedMatrix,
    pub into: &'a PackedMatrix,
    pub out: &'a PackedMatrix,
    pub function: Function,
}

/// x + gate·(f(read·W_gate)·(read·W_in))·W_out, as [`add_gated`] adds it. Only tokens with a gate are computed: they are put
/// side by side, and since a row's bits depend on no other row, the bits are those of the parts over all tokens.
pub fn expert(
    ctx: &Context<'_>,
    x: Option<&[f32]>,
    read: &[f32],
    gate: Gate<'_>,
    w: ExpertWeights<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let (width, inner, written) = (w.gate.k(), w.gate.n(), w.out.n());
    let tokens = gate.tokens()?;
    expect_len("read of expert", read.len(), &[tokens, width])?;
    expect_len("out of expert", out.len(), &[tokens, written])?;
    expect_len("x of expert", x.map_or(out.len(), <[f32]>::len), &[out.len()])?;
    expect_len("W_in of expert", w.into.k(), &[width])?;
    expect_len("W_in of expert", w.into.n(), &[inner])?;
    expect_len("W_out of expert", w.out.k(), &[inner])?;
    start(x, 0, out);
    let chosen: Vec<usize> = (0..tokens).filter(|&token| gate.of(token) != 0.0).collect();
    let count = chosen.len();
    let lengths = [count * width, count * inner, count * inner, count * inner, count * written];
    let done = with_scratch(lengths.iter().sum(), |scratch| {
        let (beside, rest) = scratch.split_at_mut(lengths[0]);
        let (active, rest) = rest.split_at_mut(lengths[1]);
        let (up, rest) = rest.split_at_mut(lengths[2]);
        let (hidden, made) = rest.split_at_mut(lengths[3]);
        for (at, &token) in chosen.iter().enumerate() {
            beside[at * width..(at + 1) * width].copy_from_slice(&read[token * width..(token + 1) * width]);
        }
        let gated = Linear { function: Some(w.function), ..Linear::default() };
        linear(ctx, beside, count, w.gate, gated, active)?;
        linear(ctx, beside, count, w.into, Linear::default(), up)?;
        mul(ctx, active, up, hidden)?;
        linear(ctx, hidden, count, w.out, Linear::default(), made)?;
        for (at, &token) in chosen.iter().enumerate() {
            let y = &made[at * written..(at + 1) * written];
            apply(ctx, x.is_some(), &mut out[token * written..(token + 1) * written], y, gate.of(token));
        }
        ctx.result()
    });
    done.unwrap_or(Err(KernelError::TooLarge { what: "tokens of an expert" }))
}
