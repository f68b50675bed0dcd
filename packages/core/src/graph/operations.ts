import { CircuitscopeError } from '@circuitscope/schema';
import { expertOperations } from './expert-operations.ts';
import type { Attributes, Dim } from './graph.ts';
import { visionOperations } from './vision-operations.ts';

// One entry an operation: the shape of what it makes, and its reach along positions.
// What each computes stands beside its reference implementation in ../kernels/reference/<name>.ts.

/**
 * Which input positions an output position may depend on: what reuse of earlier positions would rest on. A wrong one would
 * make wrong numbers in silence, so a property test perturbs single positions and compares (`reach.test.ts`).
 * `pointwise`: only the same position; `causal`: positions up to its own; `all`: any.
 */
export type Reach = 'pointwise' | 'causal' | 'all';

export interface Operation {
  readonly shape: (attrs: Attributes, inputs: readonly (readonly Dim[] | null)[]) => readonly Dim[];
  readonly reach: Reach | ((attrs: Attributes) => Reach);
  readonly dtype?: 'i32';
}

const first = (_: Attributes, inputs: readonly (readonly Dim[] | null)[]): readonly Dim[] => input(inputs, 0);

/** A gradient of a weight: one a target and variant, shaped as the weight. */
const gradient = (attrs: Attributes): readonly Dim[] => ['groups', ...dims(attrs, 'shape')];

const leading = (attrs: Attributes): number => (typeof attrs.leading === 'number' ? attrs.leading : 2);

/** Vectors a position of [rows, pos, vectors, width], or one of [rows, pos, width]. */
const vectorsOf = (shape: readonly Dim[]): number => (shape.length === 4 ? Number(shape[2]) : 1);
const lastOf = (shape: readonly Dim[]): Dim => shape[shape.length - 1] ?? 0;

// A window narrows what is read; that it leaves is still no more than this.
const attentionReach = (attrs: Attributes): Reach => (attrs.causal === true ? 'causal' : 'all');

export const operations = {
  input: { shape: (attrs) => dims(attrs, 'shape'), reach: 'pointwise', dtype: 'i32' },
  /** A value that is bound at the call: an activation of another run, a direction, a mean. */
  external: { shape: (attrs) => dims(attrs, 'shape'), reach: 'pointwise' },
  embed: { shape: (attrs, inputs) => [...input(inputs, 0), dim(attrs, 'width')], reach: 'pointwise' },
  sum: { shape: first, reach: 'pointwise' },
  subtract: { shape: first, reach: 'pointwise' },
  mul: { shape: first, reach: 'pointwise' },
  norm_scale: { shape: (_, inputs) => [...input(inputs, 0).slice(0, -1), 1], reach: 'pointwise' },
  normalize: { shape: first, reach: 'pointwise' },
  affine: { shape: first, reach: 'pointwise' },
  /** `leading` sizes of x stay (two if left out), the rest is multiplied; `transposed` multiplies by Wᵀ. */
  linear: {
    shape: (attrs, inputs) => [...input(inputs, 0).slice(0, leading(attrs)), ...dims(attrs, 'out')],
    reach: 'pointwise',
  },
  head_linear: {
    shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), ...dims(attrs, 'out')],
    reach: 'pointwise',
  },
  head_result: {
    shape: (attrs, inputs) => {
      const [rows = 0, pos = 0, heads = 0] = input(inputs, 0);
      const width = dim(attrs, 'width');
      return attrs.head === undefined ? [rows, pos, heads, width] : [rows, pos, width];
    },
    reach: 'pointwise',
  },
  rotary: { shape: first, reach: 'pointwise' },
  /** in: x, cosines, sines */
  rotate: { shape: first, reach: 'pointwise' },
  /** The same entries with other sizes behind positions. */
  reshape: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), ...dims(attrs, 'out')], reach: 'pointwise' },
  scores: {
    shape: (_, inputs) => {
      const [rows = 0, pos = 0, heads = 0] = input(inputs, 0);
      return [rows, heads, pos, input(inputs, 1)[1] ?? 0];
    },
    reach: attentionReach,
  },
  /** in: scores, buckets */
  add_bias: { shape: first, reach: 'pointwise' },
  /** in: scores, positions of the keys [batch, keys] */
  add_alibi: { shape: first, reach: 'pointwise' },
  soft_cap: { shape: first, reach: 'pointwise' },
  softmax: { shape: first, reach: 'pointwise' },
  mix: {
    shape: (_, inputs) => {
      const [rows = 0, heads = 0, pos = 0] = input(inputs, 0);
      return [rows, pos, heads, input(inputs, 1)[3] ?? 0];
    },
    // What a pattern above the diagonal reads, it reads: someone may have set it.
    reach: 'all',
  },
  mix_transposed: {
    shape: (attrs, inputs) => {
      const [rows = 0, , , keys = 0] = input(inputs, 0);
      return [rows, keys, dim(attrs, 'heads'), input(inputs, 1)[3] ?? 0];
    },
    reach: 'all',
  },
  activation: { shape: first, reach: 'pointwise' },
  repeat: { shape: (_, inputs) => ['rows', ...input(inputs, 0).slice(1)], reach: 'pointwise' },
  gather_rows: {
    shape: (_, inputs) => [...input(inputs, 1), ...input(inputs, 0).slice(2)],
    reach: 'all',
  },
  /** in: past, x. The attribute `keys` is the size of both together. */
  concat_positions: {
    shape: (attrs, inputs) => {
      const [rows = 0, , ...rest] = input(inputs, 1);
      return [rows, dim(attrs, 'keys'), ...rest];
    },
    // A new position moves behind the earlier ones.
    reach: 'causal',
  },
  columns: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), dim(attrs, 'count')], reach: 'pointwise' },
  cross_entropy: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  top_k: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, -1), dim(attrs, 'k')], reach: 'pointwise' },
  /** in: x, ids, reference. */
  vocab_statistics: { shape: (_, inputs) => [...input(inputs, 0).slice(0, -1), 5], reach: 'pointwise' },
  edit: { shape: first, reach: 'pointwise' },
  direction: { shape: first, reach: 'pointwise' },
  edge_read: {
    shape: (attrs, inputs) => {
      const [rows = 0, pos = 0, width = 0] = input(inputs, 0);
      const heads = dim(attrs, 'heads');
      return heads === 0 ? [rows, pos, width] : [rows, pos, heads, width];
    },
    reach: 'pointwise',
  },
  /** in: x, then others. out [rows, all vectors of the others, those of x]. */
  pair_dots: {
    shape: (_, inputs) => [
      input(inputs, 0)[0] ?? 0,
      inputs.slice(1).reduce((sum, _shape, at) => sum + vectorsOf(input(inputs, at + 1)), 0),
      vectorsOf(input(inputs, 0)),
    ],
    reach: 'all',
  },
  project_dot: { shape: (_, inputs) => input(inputs, 0).slice(0, -1), reach: 'pointwise' },
  jump_relu: { shape: first, reach: 'pointwise' },
  top_k_mask: { shape: first, reach: 'pointwise' },
  /** The k first entries of a row that are not 0. */
  active_top_k: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, -1), dim(attrs, 'k')], reach: 'pointwise' },
  /** All entries that are not 0, as sparse rows; with batchTopK the first of all positions of all examples. */
  active_csr: {
    shape: (attrs) => [dim(attrs, 'entries')],
    reach: (attrs) => (attrs.batchTopK === undefined ? 'pointwise' : 'all'),
  },
  /** in: gate, x */
  where_nonzero: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  scale: { shape: first, reach: 'pointwise' },

  // What a backward is made of. Cotangents come with a row per target, variant and example ('cotangents'); gradients of
  // weights add rows and have one entry per target and variant ('groups').
  activation_grad: { shape: first, reach: 'pointwise' },
  /** in: scale, ct */
  normalize_grad: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  /** in: x, scale, ct */
  normalize_grad_scale: { shape: (_, inputs) => [...input(inputs, 2).slice(0, -1), 1], reach: 'pointwise' },
  /** in: x, scale, ct of the scale */
  norm_scale_grad: {
    shape: (_, inputs) => [...input(inputs, 2).slice(0, -1), lastOf(input(inputs, 0))],
    reach: 'pointwise',
  },
  /** in: x, scale, ct of the normalised value, or of the gain's product */
  norm_grad: { shape: (_, inputs) => input(inputs, 2), reach: 'pointwise' },
  /** in: what soft_cap gave, ct */
  soft_cap_grad: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  /** in: p, ct */
  softmax_grad: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  linear_grad_weight: { shape: gradient, reach: 'all' },
  head_linear_grad_weight: { shape: gradient, reach: 'all' },
  head_result_grad_weight: { shape: gradient, reach: 'all' },
  column_sum: { shape: gradient, reach: 'all' },
  embed_grad: { shape: gradient, reach: 'all' },
  columns_grad_weight: { shape: gradient, reach: 'all' },
  columns_grad_bias: { shape: gradient, reach: 'all' },
  add_bias_grad: { shape: gradient, reach: 'all' },
  add_alibi_grad: { shape: gradient, reach: 'all' },
  head_result_grad: {
    shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), ...dims(attrs, 'out')],
    reach: 'pointwise',
  },
  scatter_rows: {
    shape: (attrs, inputs) => [input(inputs, 0)[0] ?? 0, dim(attrs, 'pos'), ...input(inputs, 0).slice(2)],
    reach: 'all',
  },
  columns_grad: {
    shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), dim(attrs, 'width')],
    reach: 'pointwise',
  },
  /** in: logits, ids, ct */
  cross_entropy_grad: {
    shape: (_, inputs) => [...input(inputs, 2), lastOf(input(inputs, 0))],
    reach: 'pointwise',
  },
  edge_read_grad: {
    shape: (attrs, inputs) => {
      const ct = input(inputs, 0);
      return attrs.heads === 0 ? ct : [...ct.slice(0, 2), ...ct.slice(3)];
    },
    reach: 'pointwise',
  },
  outer: { shape: (_, inputs) => [...input(inputs, 0), ...input(inputs, 1)], reach: 'pointwise' },
  ...expertOperations,
  ...visionOperations,
} as const satisfies { readonly [name: string]: Operation };

export type OperationName = keyof typeof operations;

export function reachOf(op: OperationName, attrs: Attributes): Reach {
  const reach: Operation['reach'] = operations[op].reach;
  return typeof reach === 'function' ? reach(attrs) : reach;
}

function input(inputs: readonly (readonly Dim[] | null)[], index: number): readonly Dim[] {
  const shape = inputs[index];
  if (!shape) throw new CircuitscopeError('bad_graph', `An operation of the graph lacks its input ${index}.`);
  return shape;
}

function dim(attrs: Attributes, name: string): Dim {
  const value = attrs[name];
  if (typeof value === 'number' || typeof value === 'string') return value;
  throw new CircuitscopeError('bad_graph', `An operation of the graph needs the size attribute ${name}.`);
}

function dims(attrs: Attributes, name: string): readonly Dim[] {
  const value = attrs[name];
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'number' || typeof entry === 'string')) {
    return value as readonly Dim[];
  }
  throw new CircuitscopeError('bad_graph', `An operation of the graph needs the list of sizes ${name}.`);
}
