import type { IntTensor, Tensor } from '../tensor/index.ts';

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
  readonly dtype: 'f32' | 'i32';
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
    inputs: [f32('x', '[…, K]; the trailing sizes multiply to K')],
    params: [matrix('W', '[K, N]'), perhaps(vector('b', '[N]'))],
    outputs: [f32('out', '[…, N]; the trailing sizes multiply to N')],
    attrs: {},
  },
  head_linear: {
    inputs: [f32('x', '[R, P, H, K]')],
    params: [matrix('W', '[K, H·d]'), perhaps(vector('b', '[H·d]'))],
    outputs: [f32('out', '[R, P, H, d]')],
    attrs: {},
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
    attrs: { layout: { type: ['half', 'adjacent'] }, dims: number },
  },
  scores: {
    inputs: [f32('q', '[R, P, H, d]'), f32('k', '[R, P, Hkv, d]'), perhaps(i32('mask', '[R, P]'))],
    params: [],
    outputs: [f32('scores', '[R, H, P, P]')],
    attrs: { scale: number, causal: flag },
  },
  softmax: { inputs: [f32('x', '[…, n]')], params: [], outputs: [f32('out', '[…, n]')], attrs: {} },
  mix: {
    inputs: [f32('pattern', '[R, H, P, P]'), f32('v', '[R, P, Hkv, d]')],
    params: [],
    outputs: [f32('z', '[R, P, H, d]')],
    attrs: {},
  },
  attention: {
    inputs: [
      f32('q', '[R, P, H, d]'),
      f32('k', '[R, P, Hkv, d]'),
      f32('v', '[R, P, Hkv, d]'),
      perhaps(i32('mask', '[R, P]')),
    ],
    params: [],
    outputs: [
      f32('z', '[R, P, H, d]'),
      perhaps(f32('scores', '[R, H, P, P]')),
      perhaps(f32('pattern', '[R, H, P, P]')),
    ],
    attrs: { scale: number, causal: flag },
  },
  activation: {
    inputs: [f32('x', '[…]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: { fn: { type: ['gelu_tanh', 'gelu_erf', 'silu', 'relu'] } },
  },
  repeat: { inputs: [f32('x', '[B, …]')], params: [], outputs: [f32('out', '[R, …]')], attrs: {} },
  gather_rows: {
    inputs: [f32('x', '[R, P, …]'), i32('index', '[R, G]')],
    params: [],
    outputs: [f32('out', '[R, G, …]')],
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
  project_dot: {
    inputs: [f32('x', '[…, n]'), f32('dir', '[n]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: {},
  },
  bias_act_top_k: {
    inputs: [f32('x', '[T, d]')],
    params: [matrix('W', '[d, F]'), perhaps(vector('b', '[F]')), perhaps(vector('thresholds', '[F]'))],
    outputs: [f32('values', '[T, k]'), i32('indices', '[T, k]'), i32('count', '[T]')],
    attrs: { activation: { type: ['none', 'relu', 'threshold'] }, k: number },
  },
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
