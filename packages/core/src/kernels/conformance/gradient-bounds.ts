import { type Floats, isIntTensor, type Tensor } from '../../tensor/index.ts';
import type { Bound } from '../conformance.ts';
import type { KernelCall, KernelName } from '../contract.ts';
import { runReference } from '../reference/index.ts';
import { readsKey } from '../reference/reads-key.ts';
import { type Allowed, smallestNormal, softmaxError, tiny, u } from './bounds.ts';

/** 16u·|ct|·(1 + |x|): slopes are made of factors up to 1.13 and one product with x, each a few roundings off. */
export const smoothSlope: Allowed = (call) => {
  const [x, ct] = call.inputs;
  return [
    Float64Array.from(ct?.data ?? [], (c, i) => {
      const at = Math.abs(x?.data[i] ?? 0);
      if (Number.isNaN(at) || !Number.isFinite(c)) return 0;
      // Flat or straight at infinity; the sign of that zero is free.
      return at === Number.POSITIVE_INFINITY ? tiny : (16 * u * (1 + at) + smallestNormal) * Math.abs(c) + tiny;
    }),
  ];
};

/** |ct| times what softmax is allowed, and the difference and product after it. */
export const crossEntropySlope = {
  because: '|ct|·(bound of softmax) + 2u·|out|',
  allowed: (call, oracle) => {
    const [logits, ids, ct] = call.inputs;
    const out = oracle[0]?.data ?? new Float64Array();
    const width = logits?.shape.at(-1) ?? 1;
    const allowed = new Float64Array(out.length);
    (ids?.data ?? []).forEach((id, row) => {
      if (id < 0) return;
      const x = Float64Array.from(logits?.data.subarray(row * width, (row + 1) * width) ?? []);
      const max = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const weights = x.map((value) => Math.exp(value - max));
      const total = weights.reduce((a, b) => a + b, 0);
      const p = weights.map((weight) => weight / total);
      const relative = softmaxError(x, p);
      const factor = Math.abs(ct?.data[row] ?? 0);
      for (let v = 0; v < width; v++) {
        const own = (p[v] ?? 0) * relative(v) + smallestNormal + u;
        allowed[row * width + v] = factor * own + 2 * u * Math.abs(out[row * width + v] ?? 0) + tiny;
      }
    });
    return [allowed];
  },
} satisfies Bound;

/**
 * With A(·) the same sums over absolute values: dp is off by w·u·A(dp), ds = p·(dp − Σ p·dp) by (w + ⌈S/32⌉ + 8)·u·A(ds), and
 * each sum over keys or queries adds its length.
 */
export const attentionSlope = {
  because: '(w + ⌈S/32⌉ + 9 + terms)·u·Σ|terms|',
  allowed: (call) => {
    const [q, k, v, given, ct] = call.inputs.map((value) => (value && !isIntTensor(value) ? absolute(value) : null));
    if (!q || !k || !v || !given || !ct) return [null, null, null, null];
    const [rows = 0, heads = 0, pos = 0, keys = 0] = given.shape;
    const reads = readsKey(call, pos, keys);
    const pattern: Tensor = {
      shape: given.shape,
      data: given.data.map((weight, at) => (reads(Math.floor(at / keys) % pos, at % keys) ? weight : 0)),
    };
    const run = (kernel: KernelName, inputs: KernelCall['inputs'], shape: readonly number[], attrs = {}): Floats => {
      const step: KernelCall = { kernel, inputs, params: [], attrs, outShapes: [shape], wanted: [true] };
      return runReference(step, 'f64')[0]?.data as Floats;
    };
    const dp = run('scores', [ct, v, null], pattern.shape, { scale: 1, causal: false });
    const ds: Tensor = { shape: pattern.shape, data: new Float64Array(pattern.data.length) };
    for (let line = 0; line < rows * heads * pos; line++) {
      let mean = 0;
      for (let at = line * keys; at < (line + 1) * keys; at++) mean += (pattern.data[at] ?? 0) * (dp[at] ?? 0);
      for (let at = line * keys; at < (line + 1) * keys; at++)
        ds.data[at] = (pattern.data[at] ?? 0) * ((dp[at] ?? 0) + mean);
    }
    const cap = call.attrs.cap === undefined ? null : Number(call.attrs.cap);
    const factor = Math.abs(Number(call.attrs.scale));
    // A slope 1 − t² is at most 1, and t off by a few roundings and by the score's own error, in parts of the cap.
    const products = cap === null ? [] : run('scores', [q, k, null], pattern.shape, { scale: factor, causal: false });
    const slope = cap === null ? 0 : 20 + (2 * (q.shape[3] ?? 0) * Math.max(0, ...products)) / cap;
    const group = (heads / Math.max(k.shape[2] ?? 1, 1)) * pos;
    const before = (ct.shape[3] ?? 0) + Math.ceil(keys / 32) + 9 + slope;
    const bound = (sums: Floats, n: number, times = 1): Floats =>
      Float64Array.from(sums, (sum) => n * (u * sum * times + tiny));
    return [
      bound(run('mix', [ds, k], q.shape), before + keys, factor),
      bound(run('mix_transposed', [ds, q], k.shape), before + group, factor),
      bound(run('mix_transposed', [pattern, ct], v.shape), group + 1),
      bound(ds.data, before),
    ];
  },
} satisfies Bound;

function absolute(value: Tensor): Tensor {
  return { shape: value.shape, data: Float64Array.from(value.data, Math.abs) };
}
