import { type Floats, type IntTensor, isIntTensor, type Tensor } from '../../tensor/index.ts';
import type { KernelCall, KernelResult } from '../contract.ts';
import { runReference } from '../reference/index.ts';

/** Unit roundoff of float32. */
export const u = 2 ** -24;
/** The smallest float32; what rounding a subnormal may cost. */
export const tiny = 2 ** -149;
/** Below it exp may be flushed to zero. */
export const smallestNormal = 2 ** -126;

/** Allowed error per output entry, from the call and what the float64 oracle made of it. */
export type Allowed = (call: KernelCall, oracle: KernelResult) => readonly (Floats | null)[];

/**
 * n·u·Σ|terms|, the bound of any order of n rounded additions of products (Jeannerod & Rump 2013, without restriction on
 * n). Σ|terms| is the same kernel run on absolute values: all of these are sums of products.
 */
export function sumOfTerms(n: number): Allowed {
  return (call) => {
    const magnitude = runReference(
      { ...call, inputs: call.inputs.map(absolute), params: call.params.map(absolute) },
      'f64',
    );
    return magnitude.map((value) => (value && !isIntTensor(value) ? value.data.map((m) => n * (u * m + tiny)) : null));
  };
}

/**
 * A chain of K with its bias, alpha and beta: (K + 3)·u·Σ|terms|; a function, whose slope is at most 1.13, adds 8u of what
 * it reads.
 */
export function finishedProduct(K: number): Allowed {
  return (call) => {
    const { fn, alpha = 1, beta = 0, ...attrs } = call.attrs;
    const absolutes = { ...attrs, alpha: Math.abs(Number(alpha)), beta: Math.abs(Number(beta)) };
    const steps = fn === undefined ? K + 3 : 1.13 * (K + 3) + 8;
    return sumOfTerms(steps)({ ...call, attrs: absolutes }, []);
  };
}

/** Rotations: the run with sin = |sin| is the magnitude of the second of each pair, sin = −|sin| that of the first. */
export const rotation: Allowed = (call) => {
  const [x = null, positions = null] = call.inputs;
  const [cos = null, sin = null] = call.params.map(absolute);
  const negated = sin && { shape: sin.shape, data: sin.data.map((s) => -s) };
  const turned = (sines: typeof sin) =>
    floatsOf(runReference({ ...call, inputs: [absolute(x), positions], params: [cos, sines] }, 'f64')[0]);
  return bothSigns(turned(sin), turned(negated));
};

/** The same where cosines and sines are inputs. */
export const givenRotation: Allowed = (call) => {
  const [x = null, cos = null, sin = null] = call.inputs.map(absolute);
  const turned = (sign: 1 | -1) => {
    const sines = sin && { shape: sin.shape, data: floatsOf(sin).map((s) => sign * s) };
    return floatsOf(runReference({ ...call, inputs: [x, cos, sines] }, 'f64')[0]);
  };
  return bothSigns(turned(1), turned(-1));
};

const bothSigns = (one: Floats, other: Floats) => [one.map((m, i) => 3 * (u * Math.max(m, other[i]!) + tiny))];

/** 8u·|x|: the smooth activations are x times a factor in [0, 1.13] that costs a few roundings and 2 ulp of exp or tanh. */
export const smoothActivation: Allowed = (call) => [
  floatsOf(call.inputs[0]).map((x) => (Number.isFinite(x) ? 8 * u * Math.abs(x) + tiny : 0)),
];

/** 8u·|out|: the quotient's rounding moves tanh by no more than its own size, tanh is 2 ulp off, the product rounds. */
export const softened: Allowed = (call, oracle) => {
  const cap = Number(call.attrs.cap);
  return [floatsOf(oracle[0]).map((y) => (Number.isFinite(y) ? 8 * u * Math.abs(y) + (cap + 1) * tiny : 0))];
};

/**
 * p·u·(|x − max| + Σp|x − max| + ⌈n/32⌉ + 16): the rounded difference, 2 ulp of exp, the tree, the division.
 * A weight that is exactly 0 must be exactly 0: nothing may be read there.
 */
export const softmaxRows: Allowed = (call, oracle) => {
  const x = floatsOf(call.inputs[0]);
  const p = floatsOf(oracle[0]);
  const width = call.inputs[0]?.shape.at(-1) ?? 1;
  const allowed = new Float64Array(p.length);
  for (let start = 0; start < p.length; start += width) {
    const relative = softmaxError(x.subarray(start, start + width), p.subarray(start, start + width));
    for (let i = 0; i < width; i++) {
      const weight = p[start + i]!;
      allowed[start + i] = weight === 0 ? 0 : weight * relative(i) + smallestNormal;
    }
  }
  return [allowed];
};

/** Relative error of each weight of one softmax row. */
export function softmaxError(x: Float64Array, p: Float64Array): (index: number) => number {
  const max = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const distance = (i: number): number => (Number.isFinite(x[i]!) ? max - x[i]! : 0);
  const mean = p.reduce((total, weight, i) => total + weight * distance(i), 0);
  return (i) => u * (distance(i) + mean + Math.ceil(x.length / 32) + 16);
}

/** u·(⌈V/32⌉ + 16 + Σp|x − max| + 2·loss + 4·|max − x[id]|); zero where the id is ignored. */
export const crossEntropyRows: Allowed = (call, oracle) => {
  const x = floatsOf(call.inputs[0]);
  const ids = call.inputs[1]?.data ?? new Int32Array();
  const width = call.inputs[0]?.shape.at(-1) ?? 1;
  return [
    floatsOf(oracle[0]).map((loss, row) => {
      const id = ids[row]!;
      if (id < 0) return 0;
      const logits = x.subarray(row * width, (row + 1) * width);
      const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const spread = logits.reduce((total, v) => total + (v === max ? 0 : Math.exp(v - max) * (max - v)), 0);
      return u * (Math.ceil(width / 32) + 16 + spread + 2 * loss + 4 * (max - logits[id]!));
    }),
  ];
};

/**
 * Norms in two passes. The mean is off by m ≤ (⌈n/32⌉ + 6)·u·Σ|x|/n, which adds m² to the variance (the first order
 * vanishes, since Σ(x − mean) = 0); each entry is then off by m/scale and by the relative error of the scale.
 */
export const normRows: Allowed = (call, oracle) => {
  const x = floatsOf(call.inputs[0]);
  const n = call.inputs[0]?.shape.at(-1) ?? 1;
  const steps = Math.ceil(n / 32) + 6;
  const layer = call.attrs.kind === 'layer';
  const whole =
    call.kernel === 'norm_scale' ? oracle[0] : call.kernel === 'normalize' ? call.inputs[1] : norms(call)[1];
  const scales = floatsOf(whole);
  const normalized = call.kernel === 'normalize' ? floatsOf(oracle[0]) : floatsOf(norms(call)[2]);
  const shift = scales.map((_, row) => {
    const magnitude = x.subarray(row * n, (row + 1) * n).reduce((total, value) => total + Math.abs(value), 0);
    return layer ? (steps * u * magnitude) / n : 0;
  });
  const given = call.kernel === 'normalize';
  const scaleError = scales.map((s, row) =>
    given || !Number.isFinite(s) ? 0 : s * (steps + 4) * u + shift[row]! ** 2 / s + tiny,
  );
  const entryError = normalized.map((value, i) => {
    const row = Math.floor(i / n);
    const s = scales[row]!;
    if (!Number.isFinite(s)) return 0;
    return shift[row]! / s + Math.abs(value) * (scaleError[row]! / s + 3 * u) + tiny;
  });
  if (call.kernel === 'norm_scale') return [scaleError];
  if (call.kernel === 'normalize') return [entryError];
  const w = call.params[0]?.data;
  const out = floatsOf(oracle[0]);
  return [
    out.map((value, i) => entryError[i]! * Math.abs(w?.[i % n] ?? 1) + u * Math.abs(value) + tiny),
    scaleError,
    entryError,
  ];
};

/** Every output of a fused norm, whatever the call wants. */
function norms(call: KernelCall): KernelResult {
  const { shape } = call.inputs[0] ?? { shape: [] };
  const outShapes = [shape, [...shape.slice(0, -1), 1], shape];
  return runReference({ ...call, kernel: 'norm', params: [], outShapes, wanted: [true, true, true] }, 'f64');
}

/**
 * Fused attention: the error of a score, s = (d + 1)·u·|scale|·Σ|q·k|, moves a weight by at most 2·max s relative to
 * itself; softmax adds its own; mixing adds P·u.
 */
export const fusedAttention: Allowed = (call) => {
  const [q, k, v] = call.inputs;
  const [rows = 0, pos = 0, heads = 0, width = 0] = q?.shape ?? [];
  const [, keys = 0, kvHeads = 1] = k?.shape ?? [];
  const value = v?.shape[3] ?? 0;
  const square = [rows, heads, pos, keys];
  const scoresCall: KernelCall = {
    ...call,
    kernel: 'scores',
    inputs: [q ?? null, k ?? null, call.inputs[3] ?? null],
    params: [],
    outShapes: [square],
    wanted: [true],
  };
  const scoreError = Float64Array.from(sumOfTerms(width + 1)(scoresCall, [])[0] ?? []);
  const full = runReference(
    { ...call, outShapes: [[rows, pos, heads, value], square, square], wanted: [true, true, true] },
    'f64',
  );
  const [scores, pattern, values] = [floatsOf(full[1]), floatsOf(full[2]), floatsOf(v)];
  // A cap moves an error no further; it has its own, and so has each sum behind it.
  const largest = Math.max(0, ...floatsOf(call.params[0]).map(Math.abs).filter(Number.isFinite));
  const own = 8 * Number(call.attrs.cap ?? 0) + 2 * largest;
  const scoreAllowed = scoreError.map((error, i) =>
    Number.isFinite(scores[i]!) ? error + u * (own + 2 * Math.abs(scores[i]!)) : 0,
  );
  const patternAllowed = new Float64Array(pattern.length);
  const zAllowed = new Float64Array(rows * pos * heads * value);
  for (let start = 0; start < pattern.length; start += keys) {
    const line = Math.floor(start / keys);
    const [row, head, query] = [Math.floor(line / pos / heads), Math.floor(line / pos) % heads, line % pos];
    const worst = scoreAllowed.subarray(start, start + keys).reduce((a, b) => Math.max(a, b), 0);
    const relative = softmaxError(scores.subarray(start, start + keys), pattern.subarray(start, start + keys));
    for (let key = 0; key < keys; key++) {
      const weight = pattern[start + key]!;
      if (weight === 0) continue;
      patternAllowed[start + key] = weight * (relative(key) + 2.1 * worst) + smallestNormal;
      const from = ((row * keys + key) * kvHeads + Math.floor((head * kvHeads) / heads)) * value;
      const to = ((row * pos + query) * heads + head) * value;
      for (let i = 0; i < value; i++) {
        const term = (patternAllowed[start + key]! + keys * u * weight) * Math.abs(values[from + i]!) + tiny;
        zAllowed[to + i] = zAllowed[to + i]! + term;
      }
    }
  }
  return [zAllowed, scoreAllowed, patternAllowed];
};

/**
 * Of vocab_statistics where the products themselves are exact: the tree and its merging, the roundings of l − max and its
 * exponential as they weigh in entropy and divergence, and 8u of each logit under a cap.
 */
export const vocabRows: Allowed = (call, oracle) => {
  const [x = null, , reference = null] = call.inputs;
  const cap = typeof call.attrs.cap === 'number' ? call.attrs.cap : 0;
  const vocabulary = call.params[0]?.shape[1] ?? 0;
  const distribution = (from: Tensor | IntTensor | null): { log: Float64Array; room: number }[] => {
    if (!from) return [];
    const rows = from.shape.slice(0, -1).reduce((total, size) => total * size, 1);
    const product = { ...call, kernel: 'linear', inputs: [from], attrs: {}, wanted: [true] } as const;
    const logits = floatsOf(runReference({ ...product, outShapes: [[rows, vocabulary]] }, 'f64')[0]);
    return Array.from({ length: rows }, (_, row) => {
      const raw = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
      const own = cap > 0 ? raw.map((l) => cap * Math.tanh(l / cap)) : raw;
      const max = own.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const total = own.reduce((sum, l) => sum + Math.exp(l - max), 0);
      const log = own.map((l) => l - max - Math.log(total));
      const spread = own.reduce((sum, l) => sum + (l < max - 700 ? 0 : (Math.exp(l - max) * (max - l)) / total), 0);
      return { log, room: u * (100 + 4 * spread * (1 + spread)) };
    });
  };
  const own = distribution(x);
  const others = distribution(reference);
  const [statistics] = oracle.map(floatsOf);
  const ofLogit = 8 * u * cap;
  const allowed = own.flatMap(({ log, room }, row) => {
    const [lse = 0, entropy = 0, logProb = 0, , divergence = 0] = statistics?.subarray(row * 5, (row + 1) * 5) ?? [];
    const other = others[row % Math.max(1, others.length)];
    const reach =
      other?.log.reduce((sum, q, id) => sum + (q < -700 ? 0 : Math.exp(q) * Math.abs(q - log[id]!)), 0) ?? 0;
    return [
      room + u * Math.abs(lse) + ofLogit,
      room + 2 * u * entropy + 4 * ofLogit * (1 + entropy),
      room + 8 * u * Math.abs(logProb) + 2 * ofLogit,
      0,
      room + (other?.room ?? 0) + u * Math.abs(divergence) + (100 * u + 4 * ofLogit) * (1 + reach),
    ];
  });
  return [Float64Array.from(allowed), floatsOf(oracle[1]).fill(ofLogit), floatsOf(oracle[2]).fill(0)];
};

/** x + c·u with c from a dot by the tree: the dot's error times |u|, and the roundings of the last step. */
export const alongDirection: Allowed = (call, oracle) => {
  const x = floatsOf(call.inputs[0]);
  const dir = floatsOf(call.inputs[1]);
  const coef = call.inputs[4] ? floatsOf(call.inputs[4]) : null;
  const n = call.inputs[1]?.shape.at(-1) ?? 1;
  const rowLength = x.length / (call.inputs[0]?.shape[0] ?? 1);
  return [
    floatsOf(oracle[0]).map((value, i) => {
      const start = Math.floor(i / n) * n;
      const row = Math.floor(i / rowLength);
      const unit = dir.length === n ? dir : dir.subarray(row * n, (row + 1) * n);
      const terms = unit.reduce((total, d, j) => total + Math.abs(d * x[start + j]!), 0);
      const step = ((Math.ceil(n / 32) + 8) * terms + 2 * Math.abs(coef?.[row] ?? 1)) * Math.abs(unit[i % n]!);
      return Object.is(value, x[i]) ? 0 : u * (step + 2 * Math.abs(value) + 2 * Math.abs(x[i]!)) + tiny;
    }),
  ];
};

function absolute<T extends Tensor | IntTensor | null>(value: T): T | Tensor {
  if (!value || isIntTensor(value)) return value;
  return { shape: value.shape, data: value.data.map(Math.abs) };
}

/** Float64, so that `map` on it keeps what is computed. */
function floatsOf(value: Tensor | IntTensor | null | undefined): Float64Array {
  return Float64Array.from(value?.data ?? []);
}
