import type { IntTensor, Tensor } from '../tensor/index.ts';
import { doubleKernels } from './contract-doubles.ts';
import { expertKernels } from './contract-experts.ts';
import { visionKernels } from './contract-vision.ts';

// What every kernel takes and gives. The reference, the portable and the SIMD implementations all answer to this table;
// the README beside it gives each formula, its bound and its rule for NaN. R = rows, P = positions, H = heads.

export type KernelAttribute =
  | null
  | boolean
  | number
  | string
  | readonly KernelAttribute[]
  | { readonly [key: string]: KernelAttribute };

export type KernelAttributes = { readonly [key: string]: KernelAttribute };

export interface KernelValue {
  readonly name: string;
  /** `f64` is so in every run, whatever its precision. */
  readonly dtype: 'f32' | 'i32' | 'f64';
  /** May be left out: null in a call, -1 in a program. */
  readonly optional?: true;
  /** May occur any number of times from one (zero if also optional). */
  readonly many?: true;
  /** The shape in words, for readers and error messages. */
  readonly shape: string;
}

export interface KernelParam {
  readonly name: string;
  /** `matrix` is [K, N], multiplied from the right; `rows` is gathered row by row; `vector` is flat. */
  readonly role: 'matrix' | 'rows' | 'vector';
  readonly optional?: true;
  readonly shape: string;
}

export interface KernelAttributeSpec {
  /** A list of strings is the set of allowed words; `sizes` is a list of whole numbers, symbols bound at the call. */
  readonly type: 'number' | 'boolean' | 'sizes' | readonly string[];
  readonly optional?: true;
}

export interface KernelSpec {
  readonly inputs: readonly KernelValue[];
  readonly params: readonly KernelParam[];
  readonly outputs: readonly KernelValue[];
  readonly attrs: { readonly [name: string]: KernelAttributeSpec };
}

const f32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f32', shape });
const i32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'i32', shape });
const perhaps = <T extends KernelValue | KernelParam>(value: T): T & { readonly optional: true } => ({
  ...value,
  optional: true,
});
const many = (value: KernelValue): KernelValue => ({ ...value, many: true });
const matrix = (name: string, shape: string): KernelParam => ({ name, role: 'matrix', shape });
const vector = (name: string, shape: string): KernelParam => ({ name, role: 'vector', shape });
const number = { type: 'number' } as const;
const flag = { type: 'boolean' } as const;
const normKind = { type: ['layer', 'rms'] } as const;
const sizes = { type: 'sizes' } as const;
const transposed = { ...flag, optional: true } as const;
/** How far a query reads; 0 is the same as leaving it out. */
const window = { ...number, optional: true } as const;
const activationFunction = { type: ['gelu_tanh', 'gelu_erf', 'silu', 'relu'] } as const;

/** Which latents are active: all, those above 0, or those above their threshold that are not 0. */
const latentActivation = { type: ['none', 'relu', 'threshold'] } as const;
const sparseRows = [f32('values', '[entries]'), i32('latents', '[entries]'), i32('row_start', '[T + 1]')];

export const kernels = {
  embed: {
    inputs: [i32('ids', '[R, P]')],
    params: [{ name: 'W', role: 'rows', shape: '[V, m], or [m, V] where transposed' }],
    outputs: [f32('out', '[R, P, m]')],
    attrs: { transposed: { ...flag, optional: true } },
  },
  sum: { inputs: [many(f32('x', '[…]'))], params: [], outputs: [f32('out', '[…]')], attrs: {} },
  mul: { inputs: [f32('a', '[…]'), f32('b', '[…]')], params: [], outputs: [f32('out', '[…]')], attrs: {} },
  subtract: { inputs: [f32('a', '[…]'), f32('b', '[…]')], params: [], outputs: [f32('out', '[…]')], attrs: {} },
  norm_scale: {
    inputs: [f32('x', '[…, m]')],
    params: [],
    outputs: [f32('scale', '[…, 1]')],
    attrs: { kind: normKind, eps: number },
  },
  normalize: {
    inputs: [f32('x', '[…, m]'), f32('scale', '[…, 1]')],
    params: [],
    outputs: [f32('normalized', '[…, m]')],
    attrs: { kind: normKind },
  },
  affine: {
    inputs: [f32('x', '[…, m]')],
    params: [perhaps(vector('w', '[m]')), perhaps(vector('b', '[m]'))],
    outputs: [f32('out', '[…, m]')],
    attrs: {},
  },
  norm: {
    inputs: [f32('x', '[…, m]')],
    params: [perhaps(vector('w', '[m]')), perhaps(vector('b', '[m]'))],
    outputs: [f32('out', '[…, m]'), perhaps(f32('scale', '[…, 1]')), perhaps(f32('normalized', '[…, m]'))],
    attrs: { kind: normKind, eps: number },
  },
  linear: {
    inputs: [
      f32('x', '[…, K]; the trailing sizes multiply to K; to N where transposed'),
      perhaps(f32('onto', 'as out')),
    ],
    params: [matrix('W', '[K, N]'), perhaps(vector('b', '[N]; [K] where transposed'))],
    outputs: [f32('out', '[…, N]; the trailing sizes multiply to N; to K where transposed')],
    // fn(beta·onto + alpha·(x·W + b)), with the bits of its steps: the chain, the bias, times alpha, beta·onto fused onto it,
    // and fn, each rounded. Left out they are 1, 0 and nothing; where beta is 0 `onto` is not read.
    attrs: {
      transposed,
      alpha: { ...number, optional: true },
      beta: { ...number, optional: true },
      fn: { type: activationFunction.type, optional: true },
    },
  },
  head_linear: {
    inputs: [f32('x', '[R, P, H, K], or [R, P, H, d] where transposed')],
    params: [matrix('W', '[K, H·d]'), perhaps(vector('b', '[H·d]; none where transposed'))],
    outputs: [f32('out', '[R, P, H, d], or [R, P, H, K] where transposed')],
    attrs: { transposed },
  },
  head_result: {
    inputs: [f32('z', '[R, P, H, d]')],
    params: [matrix('W', '[H·d, m]')],
    outputs: [f32('out', '[R, P, H, m], or [R, P, m] for one head')],
    attrs: { head: { ...number, optional: true } },
  },
  rotary: {
    inputs: [f32('x', '[R, P, H, d]'), i32('positions', '[R, P]')],
    params: [vector('cos', '[ctx, dims/2]'), vector('sin', '[ctx, dims/2]')],
    outputs: [f32('out', '[R, P, H, d]')],
    // `inverse` turns back: the transpose of the rotation.
    attrs: { layout: { type: ['half', 'adjacent'] }, dims: number, inverse: { ...flag, optional: true } },
  },
  // The same with the waves of each token given: angles that depend on more than its position.
  rotate: {
    inputs: [f32('x', '[R, P, H, d]'), f32('cos', '[R, P, dims/2]'), f32('sin', '[R, P, dims/2]')],
    params: [],
    outputs: [f32('out', '[R, P, H, d]')],
    attrs: { layout: { type: ['half', 'adjacent'] }, inverse: { ...flag, optional: true } },
  },
  // S keys, the last query standing at the last of them: query i stands at i + S − P. Under `causal` it reads none behind it,
  // within a `window` only keys less than so many away: on both sides unless `causal`.
  scores: {
    inputs: [f32('q', '[R, P, H, d]'), f32('k', '[R, S, Hkv, d]'), perhaps(i32('mask', '[R, S]'))],
    params: [],
    outputs: [f32('scores', '[R, H, P, S]')],
    attrs: { scale: number, causal: flag, window },
  },
  // What a head adds to a score for the distance of query and key, which shares a bucket with distances like it.
  add_bias: {
    inputs: [f32('x', '[R, H, P, S]'), i32('buckets', '[P, S]')],
    params: [vector('table', '[B, H]')],
    outputs: [f32('out', '[R, H, P, S]')],
    attrs: {},
  },
  add_bias_grad: {
    inputs: [i32('buckets', '[P, S]'), f32('ct', '[R, H, P, S]')],
    params: [],
    outputs: [f32('out', '[groups, B, H]')],
    attrs: {},
  },
  // What a head adds to a score for the key's position.
  add_alibi: {
    inputs: [f32('x', '[R, H, P, S]'), i32('positions', '[R, S]')],
    params: [vector('slopes', '[H]')],
    outputs: [f32('out', '[R, H, P, S]')],
    attrs: {},
  },
  add_alibi_grad: {
    inputs: [i32('positions', '[R, S]'), f32('ct', '[R, H, P, S]')],
    params: [],
    outputs: [f32('out', '[groups, H]')],
    attrs: {},
  },
  soft_cap: {
    inputs: [f32('x', '[…]')],
    params: [],
    outputs: [f32('out', '[…]; cap·tanh(x/cap), −∞ stays')],
    attrs: { cap: number },
  },
  soft_cap_grad: {
    inputs: [f32('out', '[…]; of soft_cap'), f32('ct', '[…]')],
    params: [],
    outputs: [f32('out', '[…]; ct·(1 − (out/cap)²), 0 where out is −∞')],
    attrs: { cap: number },
  },
  softmax: { inputs: [f32('x', '[…, n]')], params: [], outputs: [f32('out', '[…, n]')], attrs: {} },
  mix: {
    inputs: [f32('pattern', '[R, H, P, S]'), f32('v', '[R, S, Hkv, d]')],
    params: [],
    outputs: [f32('z', '[R, P, H, d]')],
    attrs: {},
  },
  mix_transposed: {
    inputs: [f32('pattern', '[R, H, P, S]'), f32('x', '[R, P, H, d]')],
    params: [],
    outputs: [f32('out', '[R, S, Hkv, d]; heads of a group are added')],
    attrs: {},
  },
  // scores, then soft_cap with `cap`, add_bias with buckets and table, add_alibi with positions and slopes, each where it is
  // given and in this order, then softmax and mix. `scores` are those that softmax reads.
  attention: {
    inputs: [
      f32('q', '[R, P, H, d]'),
      f32('k', '[R, S, Hkv, d]'),
      f32('v', '[R, S, Hkv, d]'),
      perhaps(i32('mask', '[R, S]')),
      perhaps(i32('buckets', '[P, S]')),
      perhaps(i32('positions', '[R, S]')),
    ],
    params: [perhaps(vector('table', '[B, H]')), perhaps(vector('slopes', '[H]'))],
    outputs: [
      f32('z', '[R, P, H, d]'),
      perhaps(f32('scores', '[R, H, P, S]')),
      perhaps(f32('pattern', '[R, H, P, S]')),
    ],
    attrs: { scale: number, causal: flag, window, cap: { ...number, optional: true } },
  },
  // The cotangents of q, k and v, with the bits of scores(ct, v), softmax_grad, soft_cap_grad where there is a cap, mix and
  // mix_transposed one after the other; `ds` is that of the scores which softmax read.
  attention_grad: {
    inputs: [
      f32('q', '[R, P, H, d]'),
      f32('k', '[R, S, Hkv, d]'),
      f32('v', '[R, S, Hkv, w]'),
      f32('pattern', '[R, H, P, S]'),
      f32('ct', '[R, P, H, w]'),
    ],
    params: [],
    outputs: [
      perhaps(f32('dq', '[R, P, H, d]')),
      perhaps(f32('dk', '[R, S, Hkv, d]')),
      perhaps(f32('dv', '[R, S, Hkv, w]')),
      perhaps(f32('ds', '[R, H, P, S]')),
    ],
    // What the pattern holds where `causal` or `window` hides a key is taken as zero.
    attrs: { scale: number, causal: flag, window, cap: { ...number, optional: true } },
  },
  activation: {
    inputs: [f32('x', '[…]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: { fn: activationFunction },
  },
  activation_grad: {
    inputs: [f32('x', '[…]'), f32('ct', '[…]')],
    params: [],
    outputs: [f32('out', '[…]; ct · fn′(x), at a kink the value of the left side')],
    attrs: { fn: activationFunction },
  },
  jump_relu: {
    inputs: [f32('x', '[…, n]')],
    params: [vector('threshold', '[n]')],
    outputs: [f32('out', '[…, n]; x where x > threshold, else 0')],
    attrs: {},
  },
  top_k_mask: {
    inputs: [f32('x', '[…, n]')],
    params: [],
    outputs: [f32('out', '[…, n]; the k largest of a row (ties: the smaller index) keep their value, others are 0')],
    attrs: { k: number },
  },
  where_nonzero: {
    inputs: [f32('gate', '[…]'), f32('x', '[…]')],
    params: [],
    outputs: [f32('out', '[…]; x where gate is not 0, else 0')],
    attrs: {},
  },
  scale: { inputs: [f32('x', '[…]')], params: [], outputs: [f32('out', '[…]')], attrs: { factor: number } },
  // Products and sums over all rows of a group: the first size of the output says how many groups there are; rows of one
  // group lie together. An input with fewer rows than the other serves each group anew.
  linear_grad_weight: {
    inputs: [f32('x', '[R, …, K]; the trailing sizes multiply to K'), f32('ct', '[R, …, N]; likewise to N')],
    params: [],
    outputs: [f32('out', '[C, K, N]')],
    attrs: {},
  },
  head_linear_grad_weight: {
    inputs: [f32('x', '[R, P, H, K]'), f32('ct', '[R, P, H, d]')],
    params: [],
    outputs: [f32('out', '[C, K, H·d]')],
    attrs: {},
  },
  head_result_grad_weight: {
    inputs: [f32('z', '[R, P, H, d]'), f32('ct', '[R, P, H, m], or [R, P, m] for one head')],
    params: [],
    outputs: [f32('out', '[C, H·d, m]')],
    attrs: { head: { ...number, optional: true } },
  },
  head_result_grad: {
    inputs: [f32('ct', '[R, P, H, m], or [R, P, m] for one head')],
    params: [matrix('W', '[H·d, m]')],
    outputs: [f32('out', '[R, P, H, d]; 0 at other heads')],
    attrs: { head: { ...number, optional: true } },
  },
  column_sum: {
    inputs: [
      f32('ct', '[R, …, N]; the trailing sizes multiply to N'),
      perhaps(f32('x', 'as ct: a factor of each entry')),
    ],
    params: [],
    outputs: [f32('out', '[C, N]')],
    attrs: {},
  },
  normalize_grad: {
    inputs: [f32('scale', '[…, 1]'), f32('ct', '[…, m]')],
    params: [],
    outputs: [f32('out', '[…, m]; layer: (ct − mean ct)/scale, rms: ct/scale')],
    attrs: { kind: normKind },
  },
  normalize_grad_scale: {
    inputs: [f32('x', '[…, m]'), f32('scale', '[…, 1]'), f32('ct', '[…, m]')],
    params: [],
    outputs: [f32('out', '[…, 1]; −Σ ct·normalized / scale')],
    attrs: { kind: normKind },
  },
  norm_scale_grad: {
    inputs: [f32('x', '[…, m]'), f32('scale', '[…, 1]'), f32('ct', '[…, 1]')],
    params: [],
    outputs: [f32('out', '[…, m]; layer: ct·(x − mean)/(m·scale), rms: ct·x/(m·scale)')],
    attrs: { kind: normKind },
  },
  // The three above and the gain in one step, with the same bits: ct ∘ w, then normalize_grad, plus norm_scale_grad of
  // normalize_grad_scale.
  norm_grad: {
    inputs: [f32('x', '[…, m]'), f32('scale', '[…, 1]'), f32('ct', '[…, m]')],
    params: [perhaps(vector('w', '[m]'))],
    outputs: [f32('out', '[…, m]')],
    attrs: { kind: normKind },
  },
  softmax_grad: {
    inputs: [f32('p', '[…, n]'), f32('ct', '[…, n]')],
    params: [],
    outputs: [f32('out', '[…, n]; p·(ct − Σ p·ct), 0 where p is 0')],
    attrs: {},
  },
  embed_grad: {
    inputs: [i32('ids', '[R, P]'), f32('ct', '[R, P, m]')],
    params: [],
    outputs: [f32('out', '[C, V, m], or [C, m, V] where transposed; rows are added in order')],
    attrs: { transposed },
  },
  scatter_rows: {
    inputs: [f32('ct', '[R, G, …]'), i32('index', '[R, G]')],
    params: [],
    outputs: [f32('out', '[R, P, …]; rows of one place are added in order')],
    attrs: {},
  },
  columns_grad: {
    inputs: [f32('ct', '[R, G, C]'), i32('ids', '[R, C]')],
    params: [matrix('W', '[m, V]')],
    outputs: [f32('out', '[R, G, m]; Σ_c ct·W[:, id]')],
    attrs: {},
  },
  columns_grad_weight: {
    inputs: [f32('x', '[R, G, m]'), i32('ids', '[R, C]'), f32('ct', '[R, G, C]')],
    params: [],
    outputs: [f32('out', '[groups, m, V]')],
    attrs: {},
  },
  columns_grad_bias: {
    inputs: [i32('ids', '[R, C]'), f32('ct', '[R, G, C]')],
    params: [],
    outputs: [f32('out', '[groups, V]')],
    attrs: {},
  },
  cross_entropy_grad: {
    inputs: [f32('logits', '[R, G, V]'), i32('ids', '[R, G]; −100 = ignored'), f32('ct', '[R, G]')],
    params: [],
    outputs: [f32('out', '[R, G, V]; ct·(softmax − one-hot), 0 where ignored')],
    attrs: {},
  },
  edge_read_grad: {
    inputs: [f32('ct', '[R, P, H, m], or [R, P, m] where heads is 0'), perhaps(f32('mask', '[R, max(H, 1), U]'))],
    params: [],
    // Without `delta` the cotangent of x: the sum over heads. With it that of one writer: Σ_h mask[r, h, delta]·ct.
    outputs: [f32('out', '[R, P, m]')],
    attrs: { heads: number, delta: { ...number, optional: true } },
  },
  outer: {
    inputs: [f32('ct', '[…]'), f32('dir', '[n]')],
    params: [],
    outputs: [f32('out', '[…, n]')],
    attrs: {},
  },
  reshape: { inputs: [f32('x', '[…]')], params: [], outputs: [f32('out', '[…]; as many entries')], attrs: {} },
  repeat: { inputs: [f32('x', '[B, …]')], params: [], outputs: [f32('out', '[R, …]')], attrs: {} },
  gather_rows: {
    inputs: [f32('x', '[R, P, …]'), i32('index', '[R, G]')],
    params: [],
    outputs: [f32('out', '[R, G, …]')],
    attrs: {},
  },
  // Keys or values of earlier positions, then those of new ones.
  concat_positions: {
    inputs: [f32('past', '[R, T, …]'), f32('x', '[R, P, …]')],
    params: [],
    outputs: [f32('out', '[R, T + P, …]')],
    attrs: {},
  },
  columns: {
    inputs: [f32('x', '[R, G, m]'), i32('ids', '[R, C]')],
    params: [matrix('W', '[m, V]'), perhaps(vector('b', '[V]'))],
    outputs: [f32('out', '[R, G, C]')],
    attrs: {},
  },
  cross_entropy: {
    inputs: [f32('logits', '[R, G, V]'), i32('ids', '[R, G]; −100 = ignored')],
    params: [],
    outputs: [f32('loss', '[R, G]')],
    attrs: {},
  },
  top_k: {
    inputs: [f32('x', '[…, n]')],
    params: [],
    outputs: [f32('values', '[…, k]'), i32('indices', '[…, k]')],
    attrs: { k: number },
  },
  vocab_statistics: {
    inputs: [
      f32('x', '[…, m]'),
      perhaps(i32('ids', '[…]; −100 = none')),
      perhaps(f32('reference', '[Q, m]; row r is held against r mod Q')),
    ],
    params: [matrix('W', '[m, V]'), perhaps(vector('b', '[V]'))],
    // log Σ exp, entropy, log-probability and rank of the id, divergence; the k largest logits and their ids.
    outputs: [
      perhaps(f32('statistics', '[…, 5]')),
      perhaps(f32('values', '[…, k]')),
      perhaps(i32('indices', '[…, k]')),
    ],
    attrs: { k: number, cap: { ...number, optional: true } },
  },
  edit: {
    inputs: [
      f32('x', '[R, n1, n2, n3]'),
      perhaps(f32('value', 'as valueShape says')),
      perhaps(i32('maskA', '[R, n1]')),
      perhaps(i32('maskB', '[R, n2]')),
      perhaps(i32('maskC', '[R, n3]')),
      perhaps(f32('coef', '[R]')),
    ],
    params: [],
    outputs: [f32('out', '[R, n1, n2, n3]')],
    attrs: {
      op: { type: ['set', 'add', 'scale'] },
      dims: sizes,
      valueShape: { type: ['none', 'scalar', 'vector', 'rows'] },
      constant: { ...number, optional: true },
    },
  },
  direction: {
    inputs: [
      f32('x', '[R, n1, n2, n3]'),
      f32('dir', '[n3] or, with perRow, [R, n3]; unit length'),
      perhaps(i32('maskA', '[R, n1]')),
      perhaps(i32('maskB', '[R, n2]')),
      perhaps(f32('coef', '[R]')),
    ],
    params: [],
    outputs: [f32('out', '[R, n1, n2, n3]')],
    attrs: { op: { type: ['project_out', 'steer', 'clamp'] }, dims: sizes, perRow: { ...flag, optional: true } },
  },
  edge_read: {
    inputs: [
      f32('x', '[R, P, m], or fewer rows that divide R'),
      many(perhaps(f32('delta', '[R, P, m], one a writer, or fewer rows that divide R'))),
      perhaps(f32('mask', '[R, max(H, 1), U]')),
    ],
    params: [],
    outputs: [f32('out', '[R, P, H, m], or [R, P, m] where heads is 0')],
    attrs: { heads: number },
  },
  pair_dots: {
    inputs: [
      f32('x', '[R, P, H, m], or [R, P, m] where H is 1'),
      many(f32('other', '[own, P, U, m], or [own, P, m]; own divides R')),
    ],
    params: [],
    outputs: [f32('out', '[R, ΣU, H]')],
    attrs: {},
  },
  project_dot: {
    inputs: [f32('x', '[…, n]'), f32('dir', '[n]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: {},
  },
  bias_act_top_k: {
    inputs: [f32('x', '[…, d]')],
    params: [matrix('W', '[d, F]'), perhaps(vector('b', '[F]')), perhaps(vector('thresholds', '[F]'))],
    outputs: [f32('values', '[…, k]'), i32('indices', '[…, k]'), i32('count', '[…]')],
    // A first look in few bits, where the processor multiplies them faster; the result is the same to the bit.
    attrs: {
      activation: latentActivation,
      k: number,
      screen: { type: ['none', 'bf16', 'int8', 'auto'], optional: true },
    },
  },
  // Of T tokens all active latents, or with batchTopK = k the first k·T of the whole batch: value descending, NaN first, ties
  // by token, then by latent. Row t is row_start[t] … row_start[t + 1], latents ascending; behind the last entry stand value
  // 0 and latent −1. More entries than there is room for are an error that says how many there are.
  project_csr: {
    inputs: [f32('x', '[…, d]')],
    params: [matrix('W', '[d, F]'), perhaps(vector('b', '[F]')), perhaps(vector('thresholds', '[F]'))],
    outputs: sparseRows,
    attrs: { activation: latentActivation, batchTopK: { ...number, optional: true } },
  },
  // The same two choices from latents that are there: active are those that are not 0.
  active_csr: {
    inputs: [f32('x', '[…, F]')],
    params: [],
    outputs: sparseRows,
    attrs: { batchTopK: { ...number, optional: true } },
  },
  active_top_k: {
    inputs: [f32('x', '[…, F]')],
    params: [],
    outputs: [f32('values', '[…, k]'), i32('indices', '[…, k]'), i32('count', '[…]')],
    attrs: { k: number },
  },
  ...expertKernels,
  ...visionKernels,
  ...doubleKernels,
} as const satisfies { readonly [name: string]: KernelSpec };

export type KernelName = keyof typeof kernels;

export function isKernelName(name: string): name is KernelName {
  return Object.hasOwn(kernels, name);
}

export function kernelSpec(name: KernelName): KernelSpec {
  return kernels[name];
}

/** One step, everything bound: no symbols in shapes or in `attrs.dims`. */
export interface KernelCall {
  readonly kernel: KernelName;
  readonly inputs: readonly (Tensor | IntTensor | null)[];
  readonly params: readonly (Tensor | null)[];
  readonly attrs: KernelAttributes;
  readonly outShapes: readonly (readonly number[])[];
  /** False where nobody reads an output; such an output comes back as null and costs nothing. */
  readonly wanted: readonly boolean[];
}

export type KernelResult = readonly (Tensor | IntTensor | null)[];

/** `make` gives a zeroed tensor in the precision of the run: that choice is the only difference between f32 and f64. */
export type ReferenceKernel = (call: KernelCall, make: (shape: readonly number[]) => Tensor) => KernelResult;
