//! Bytes as calls of the border, for the fuzzer and for the corpus that it left: whatever they say, a call is refused or
//! gives what the plain arithmetic gives, and nothing panics.
#![allow(dead_code)]

use std::collections::HashMap;
use std::sync::Arc;

use circuitscope_kernels::exec::{Call, Code, EntriesMut, Limits, Program, Run, Store};
use circuitscope_kernels::gemm::{Context, Rows, RowsMut, matmul};
use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops;
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};
use serde_json::{Map, Value as Json, json};

/// Bytes, then zeros for ever.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Small numbers, so that there are ties, and special ones.
    fn float(&mut self) -> f32 {
        match self.byte() {
            255 => f32::NAN,
            254 => f32::INFINITY,
            253 => f32::NEG_INFINITY,
            252 => -0.0,
            251 => f32::from_bits(1),
            250 => f32::MAX,
            byte => f32::from(byte as i8) / 8.0,
        }
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    fn context(&mut self) -> Context<'static> {
        let isas = Isa::available();
        Context { isa: self.pick(&isas), threads: 1 + self.below(3), cancel: None }
    }
}

/// The order of top-k against a sort.
pub fn top_k(data: &[u8]) {
    let draw = &mut Draw(data);
    let ctx = draw.context();
    let (rows, width, k) = (draw.below(4), draw.below(120), draw.below(130));
    let x = draw.floats(rows * width);
    let (mut values, mut indices) = (vec![9.0; rows * k], vec![9; rows * k]);
    let done = ops::top_k(&ctx, &x, width, k, &mut values, &mut indices);
    if width == 0 || k == 0 {
        return;
    }
    done.unwrap();
    for row in 0..rows {
        let x = &x[row * width..(row + 1) * width];
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| {
            let nan = x[b].is_nan().cmp(&x[a].is_nan());
            nan.then(x[b].partial_cmp(&x[a]).unwrap_or(std::cmp::Ordering::Equal)).then(a.cmp(&b))
        });
        for at in 0..k {
            let (value, index) = (values[row * k + at], indices[row * k + at]);
            match order.get(at) {
                None => assert_eq!((value.to_bits(), index), (0, -1)),
                Some(&own) => {
                    assert_eq!(index, own as i32);
                    assert!(value.to_bits() == x[own].to_bits() || value.is_nan() && x[own].is_nan());
                }
            }
        }
    }
}

/// A product of strided rows with a strided matrix of any type, as its chains; what does not fit is refused.
pub fn product(data: &[u8]) {
    let draw = &mut Draw(data);
    let ctx = draw.context();
    let (m, k, n) = (draw.below(30), draw.below(40), draw.below(70));
    let dtype = draw.pick(&[Dtype::F32, Dtype::Bf16, Dtype::F16]);
    let (apart, offset, turned) = (draw.below(3), draw.below(5), draw.below(2) == 1);
    let (sk, sn) = if turned { (1, k + apart) } else { (n + apart, 1) };
    let needed = offset + k.max(1) * sk.max(1) * n.max(1) * sn.max(1);
    let missing = if draw.below(4) == 0 { draw.below(300) } else { 0 };
    let mut bytes = Vec::new();
    for _ in 0..(needed.min(6000) * dtype.bytes()).saturating_sub(missing) {
        // Halves stay finite: their exponent is cut.
        let byte = draw.byte();
        bytes.push(if bytes.len() % dtype.bytes() == dtype.bytes() - 1 { byte & 0xbb } else { byte });
    }
    let Ok(w) = PackedMatrix::pack(ctx.isa, MatrixSource { bytes: &bytes, dtype, offset, k, n, sk, sn }) else {
        return;
    };
    let (a_step, c_step) = (k + draw.below(3), n + draw.below(3));
    let short = [draw.below(4), draw.below(8) / 7, draw.below(4)];
    let a = draw.floats((m * a_step).saturating_sub(short[0]));
    let bias = if draw.below(2) == 0 { Some(draw.floats(n.saturating_sub(short[1]))) } else { None };
    let mut c = vec![7.0f32; (m * c_step).saturating_sub(short[2])];
    let rows = Rows { data: &a, rows: m, step: a_step };
    let into = RowsMut { data: &mut c, rows: m, step: c_step };
    if matmul(&ctx, rows, &w, bias.as_deref(), into).is_err() {
        return;
    }
    for (row, line) in c.chunks(c_step.max(1)).enumerate().take(m) {
        for (column, got) in line.iter().enumerate() {
            let wish = if column < n {
                let sum = (0..k).fold(0f32, |sum, i| a[row * a_step + i].mul_add(w.element(i, column).unwrap(), sum));
                bias.as_ref().map_or(sum, |bias| sum + bias[column])
            } else {
                7.0
            };
            assert!(got.to_bits() == wish.to_bits() || got.is_nan() && wish.is_nan(), "[{row}, {column}] {got} {wish}");
        }
    }
}

const KERNELS: &[&str] = &[
    "activation",
    "activation_grad",
    "active_csr",
    "active_top_k",
    "add_alibi",
    "add_alibi_grad",
    "add_bias",
    "add_bias_grad",
    "add_gated",
    "affine",
    "assign",
    "attention",
    "attention_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "bias_act_top_k",
    "channel_affine",
    "channel_sum",
    "choices",
    "column_sum",
    "columns",
    "columns_grad",
    "columns_grad_bias",
    "columns_grad_weight",
    "clip",
    "clip_grad",
    "concat_channels",
    "concat_positions",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "correlate_top_k",
    "cross_entropy",
    "cross_entropy_grad",
    "direction",
    "edge_read",
    "edge_read_grad",
    "edit",
    "embed",
    "embed_grad",
    "expert",
    "gate_grad",
    "gather_rows",
    "gram",
    "head_linear",
    "head_linear_grad_weight",
    "head_result",
    "head_result_grad",
    "head_result_grad_weight",
    "jump_relu",
    "latent_statistics",
    "linear",
    "linear_grad_weight",
    "max_pool2d",
    "max_pool2d_grad",
    "mix",
    "mix_transposed",
    "mul",
    "norm",
    "norm_grad",
    "norm_scale",
    "norm_scale_grad",
    "normalize",
    "normalize_grad",
    "normalize_grad_scale",
    "outer",
    "pair_dots",
    "project_csr",
    "project_dot",
    "repeat",
    "reshape",
    "rotary",
    "rotate",
    "route",
    "route_grad",
    "scale",
    "scatter_rows",
    "scores",
    "soft_cap",
    "soft_cap_grad",
    "slice_channels",
    "softmax",
    "softmax_grad",
    "subtract",
    "sum",
    "top_k",
    "top_k_mask",
    "vocab_statistics",
    "where_nonzero",
];

fn attributes(draw: &mut Draw<'_>) -> Json {
    let mut attrs = Map::new();
    let small = [json!(0), json!(1), json!(2), json!(3), json!(-1), json!(1e300), json!(4)];
    let pairs = [json!([1, 1]), json!([0, 0]), json!([2, 1]), json!([2, 2]), json!([1])];
    for name in
        ["k", "head", "heads", "dims", "expert", "experts", "groups", "first", "delta", "batchTopK", "window", "count"]
    {
        attrs.insert(name.into(), small[draw.below(small.len())].clone());
    }
    for name in ["scale", "eps", "factor", "constant", "cap"] {
        attrs.insert(name.into(), json!(f64::from(draw.byte()) / 16.0));
    }
    for name in ["transposed", "inverse", "countPadding", "ceil", "causal", "absolute", "normalize"] {
        attrs.insert(name.into(), json!(draw.below(2) == 1));
    }
    let paddings = [&pairs[..], &[json!([0, 1, 1, 0])]].concat();
    for (name, from) in [("stride", &pairs[..]), ("padding", &paddings[..]), ("dilation", &pairs[..])] {
        attrs.insert(name.into(), from[draw.below(from.len())].clone());
    }
    attrs.insert("kind".into(), json!(draw.pick(&["layer", "rms"])));
    attrs.insert("fn".into(), json!(draw.pick(&["relu", "silu", "gelu_tanh", "gelu_erf"])));
    attrs.insert("layout".into(), json!(draw.pick(&["adjacent", "halves", "split", "interleaved"])));
    attrs.insert("op".into(), json!(draw.pick(&["set", "add", "scale", "steer", "clamp", "project_out"])));
    attrs.insert("activation".into(), json!(draw.pick(&["none", "relu", "threshold"])));
    attrs.insert("valueShape".into(), json!(draw.pick(&["none", "scalar", "vector", "rows"])));
    // Some kernels take a number under a name under which others take a list.
    if draw.below(2) == 0 {
        attrs.insert("window".into(), json!([2, 2]));
    }
    if draw.below(2) == 0 {
        attrs.insert("dims".into(), json!([2, 3, 2]));
    }
    for name in ["head", "first", "delta", "batchTopK", "cap", "fn"] {
        if draw.below(2) == 0 {
            attrs.remove(name);
        }
    }
    Json::Object(attrs)
}

/// A program of a few steps over values of few shapes, with weights of few shapes: refused, or it runs to its end or to an
/// error that is no defect.
pub fn program(data: &[u8]) {
    let draw = &mut Draw(data);
    let dims = [json!(1), json!(2), json!(3), json!(4), json!(6), json!("rows"), json!("pos"), json!(0)];
    let count = 2 + draw.below(7);
    let values: Vec<Json> = (0..count)
        .map(|slot| {
            let rank = draw.below(5);
            let shape: Vec<Json> = (0..rank).map(|_| dims[draw.below(dims.len())].clone()).collect();
            json!({ "shape": shape, "dtype": draw.pick(&["f32", "f32", "f32", "i32", "f64"]), "slot": slot })
        })
        .collect();
    let inputs = 1 + draw.below(count);
    let steps: Vec<Json> = (0..1 + draw.below(4))
        .map(|_| {
            let places = |draw: &mut Draw<'_>, most: usize| -> Vec<i64> {
                (0..draw.below(most)).map(|_| draw.below(count + 1) as i64 - 1).collect()
            };
            let (ins, outs, params) = (places(draw, 7), places(draw, 5), places(draw, 4));
            let params: Vec<i64> = params.into_iter().map(|at| at.min(3)).collect();
            json!({ "kernel": draw.pick(KERNELS), "in": ins, "out": outs, "params": params, "attrs": attributes(draw) })
        })
        .collect();
    let named = |prefix: &str, range: std::ops::Range<usize>| -> Vec<Json> {
        range.map(|value| json!({ "name": format!("{prefix}{value}"), "value": value })).collect()
    };
    let text = json!({
        "version": 1, "values": values, "slots": count, "inputs": named("in", 0..inputs),
        "params": ["a", "b", "c", "d"], "steps": steps, "outputs": named("out", 0..count),
    });
    let Ok(program) = Program::parse(&text.to_string()) else { return };
    let ctx = draw.context();
    let store = Store::new(ctx.isa);
    for (name, shape) in [("a", [4, 6]), ("b", [6, 4]), ("c", [1, 4]), ("d", [4, 4])] {
        let weights = draw.floats(shape[0] * shape[1]);
        store.define_owned(name, weights, &shape, &[shape[1], 1]).unwrap();
    }
    let sizes: HashMap<String, usize> = [("rows".into(), 1 + draw.below(3)), ("pos".into(), draw.below(5))].into();
    let limits = Limits { threads: ctx.threads, memory_bytes: Some(1 << 20) };
    let Ok(mut call) = Call::bind(&Arc::new(program), &store, &sizes, limits) else { return };
    let names: Vec<String> = call.input_names().map(str::to_owned).collect();
    for name in names {
        match call.input_mut(&name).unwrap() {
            EntriesMut::F32(x) => x.fill_with(|| draw.float()),
            EntriesMut::I32(x) => x.fill_with(|| i32::from(draw.byte() as i8)),
            EntriesMut::F64(x) => x.fill_with(|| f64::from(draw.float())),
        }
    }
    if let Err(error) = call.execute(&Run::default()) {
        assert!(error.code != Code::Panic, "{}\n{text}", error.message);
    }
}
