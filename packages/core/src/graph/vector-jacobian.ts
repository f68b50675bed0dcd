import { CircuitscopeError } from '@circuitscope/schema';
import { expertVectorJacobians } from './expert-vector-jacobian.ts';
import type { Attributes, Dim, GraphNode } from './graph.ts';
import type { NodeOptions } from './graph-builder.ts';
import type { OperationName } from './operations.ts';
import { visionVectorJacobians } from './vision-vector-jacobian.ts';

// One entry an operation: from the cotangent of its output to the cotangents of its inputs and weights, as nodes of the
// same graph. What the nodes compute stands in ../kernels/reference; the formulas in the README of ../kernels.
// The table is complete by its type: an operation without an entry does not compile.

export interface Backward {
  /** The operation that is differentiated. */
  readonly node: GraphNode;
  /** Its cotangent: a node with a row per target, variant and example. */
  readonly ct: number;
  /** The forward value of a node, as the backward may read it: itself, or a copy that is computed anew. */
  value(id: number): number;
  shape(id: number): readonly Dim[];
  /** Shape of a weight. */
  paramShape(index: number): readonly number[];
  add(op: OperationName, inputs: readonly number[], options?: NodeOptions): number;
}

interface Differentiable {
  readonly kind: 'differentiable';
  /** Cotangent of the input at an index; null where nothing flows. */
  readonly input: (backward: Backward, index: number) => number | null;
  /** Gradient of the weight at an index, summed over the rows of each target and variant. */
  readonly param?: (backward: Backward, index: number) => number;
}

/** `source`: nothing lies before it. `constant`: its value comes from counting or choosing, which has no derivative. */
export type VectorJacobian =
  | Differentiable
  | { readonly kind: 'source' }
  | { readonly kind: 'constant'; readonly because: string };

const differentiable = (input: Differentiable['input'], param?: Differentiable['param']): Differentiable =>
  param ? { kind: 'differentiable', input, param } : { kind: 'differentiable', input };

/** A weight's gradient has the weight's shape. */
const weightGradient = (
  { add, paramShape }: Backward,
  index: number,
  op: OperationName,
  inputs: readonly number[],
  attrs: Attributes = {},
): number => {
  return add(op, inputs, { attrs: { ...attrs, shape: paramShape(index) } });
};

const second = { kind: 'constant', because: 'second derivatives are not computed' } as const;

export const vectorJacobians = {
  input: { kind: 'source' },
  external: { kind: 'source' },
  embed: differentiable(
    () => null,
    (b, index) => {
      const { transposed } = b.node.attrs;
      const attrs = transposed === true ? { transposed } : {};
      return weightGradient(b, index, 'embed_grad', [b.value(inputOf(b, 0)), b.ct], attrs);
    },
  ),
  sum: differentiable(({ ct }) => ct),
  subtract: differentiable(({ ct, add }, index) => (index === 0 ? ct : add('scale', [ct], { attrs: { factor: -1 } }))),
  mul: differentiable((b, index) => b.add('mul', [b.ct, b.value(inputOf(b, 1 - index))])),
  scale: differentiable(({ node, ct, add }) => add('scale', [ct], { attrs: node.attrs })),
  norm_scale: differentiable((b) => {
    const { kind = null } = b.node.attrs;
    return b.add('norm_scale_grad', [b.value(inputOf(b, 0)), b.value(b.node.id), b.ct], { attrs: { kind } });
  }),
  normalize: differentiable((b, index) => {
    const scale = b.value(inputOf(b, 1));
    const options = { attrs: b.node.attrs };
    if (index === 0) return b.add('normalize_grad', [scale, b.ct], options);
    return b.add('normalize_grad_scale', [b.value(inputOf(b, 0)), scale, b.ct], options);
  }),
  affine: differentiable(
    ({ node, ct, add }) => (node.params[0] == null ? ct : add('affine', [ct], { params: [node.params[0], null] })),
    (b, index) => weightGradient(b, index, 'column_sum', index === 0 ? [b.ct, b.value(inputOf(b, 0))] : [b.ct]),
  ),
  linear: differentiable(
    (b) => {
      const transposed = b.node.attrs.transposed !== true;
      const leading = typeof b.node.attrs.leading === 'number' ? b.node.attrs.leading : 2;
      const out = b.shape(inputOf(b, 0)).slice(leading);
      const attrs = { out, ...(transposed ? { transposed } : {}), ...(leading === 2 ? {} : { leading }) };
      return b.add('linear', [b.ct], { params: [b.node.params[0] ?? null, null], attrs });
    },
    (b, index) => {
      if (index === 1) return weightGradient(b, index, 'column_sum', [b.ct]);
      const x = b.value(inputOf(b, 0));
      // The weight is [K, N] either way: the side of length K comes first.
      return weightGradient(b, index, 'linear_grad_weight', b.node.attrs.transposed === true ? [b.ct, x] : [x, b.ct]);
    },
  ),
  head_linear: differentiable(
    (b) => {
      const transposed = b.node.attrs.transposed !== true;
      const attrs = { out: b.shape(inputOf(b, 0)).slice(2), ...(transposed ? { transposed } : {}) };
      return b.add('head_linear', [b.ct], { params: [b.node.params[0] ?? null, null], attrs });
    },
    (b, index) => {
      if (index === 1) return weightGradient(b, index, 'column_sum', [b.ct]);
      const x = b.value(inputOf(b, 0));
      const sides = b.node.attrs.transposed === true ? [b.ct, x] : [x, b.ct];
      return weightGradient(b, index, 'head_linear_grad_weight', sides);
    },
  ),
  head_result: differentiable(
    (b) => {
      const { head } = b.node.attrs;
      const attrs = { out: b.shape(inputOf(b, 0)).slice(2), ...(head === undefined ? {} : { head }) };
      return b.add('head_result_grad', [b.ct], { params: b.node.params, attrs });
    },
    (b, index) => {
      const { head } = b.node.attrs;
      const inputs = [b.value(inputOf(b, 0)), b.ct];
      return weightGradient(b, index, 'head_result_grad_weight', inputs, head === undefined ? {} : { head });
    },
  ),
  rotary: differentiable((b) => {
    const { inverse, ...attrs } = b.node.attrs;
    const turned = inverse === true ? attrs : { ...attrs, inverse: true };
    return b.add('rotary', [b.ct, b.value(inputOf(b, 1))], { params: b.node.params, attrs: turned });
  }),
  rotate: differentiable((b, index) => {
    if (index !== 0) return null;
    const { inverse, ...attrs } = b.node.attrs;
    const waves = [b.value(inputOf(b, 1)), b.value(inputOf(b, 2))];
    return b.add('rotate', [b.ct, ...waves], { attrs: inverse === true ? attrs : { ...attrs, inverse: true } });
  }),
  reshape: differentiable((b) => b.add('reshape', [b.ct], { attrs: { out: b.shape(inputOf(b, 0)).slice(2) } })),
  scores: differentiable((b, index) => {
    const { scale: factor = 1 } = b.node.attrs;
    if (index === 2) return null;
    const product =
      index === 0
        ? b.add('mix', [b.ct, b.value(inputOf(b, 1))])
        : b.add('mix_transposed', [b.ct, b.value(inputOf(b, 0))], {
            attrs: { heads: b.shape(inputOf(b, 1))[2] ?? 0 },
          });
    return b.add('scale', [product], { attrs: { factor } });
  }),
  softmax: differentiable((b) => b.add('softmax_grad', [b.value(b.node.id), b.ct])),
  mix: differentiable((b, index) =>
    index === 0
      ? b.add('scores', [b.ct, b.value(inputOf(b, 1)), -1], { attrs: { scale: 1, causal: false } })
      : b.add('mix_transposed', [b.value(inputOf(b, 0)), b.ct], { attrs: { heads: b.shape(inputOf(b, 1))[2] ?? 0 } }),
  ),
  activation: differentiable((b) => b.add('activation_grad', [b.value(inputOf(b, 0)), b.ct], { attrs: b.node.attrs })),
  jump_relu: differentiable(
    (b) => b.add('where_nonzero', [b.value(b.node.id), b.ct]),
    () => {
      throw new CircuitscopeError(
        'not_differentiable',
        'A JumpReLU jumps at its threshold, so its threshold has no gradient; training one needs a straight-through estimate.',
      );
    },
  ),
  top_k_mask: differentiable((b) => b.add('where_nonzero', [b.value(b.node.id), b.ct])),
  where_nonzero: differentiable((b, index) =>
    index === 0 ? null : b.add('where_nonzero', [b.value(inputOf(b, 0)), b.ct]),
  ),
  repeat: { kind: 'constant', because: 'rows are repeated by the compiler alone' },
  gather_rows: differentiable((b, index) =>
    index === 0
      ? b.add('scatter_rows', [b.ct, b.value(inputOf(b, 1))], { attrs: { pos: b.shape(inputOf(b, 0))[1] ?? 0 } })
      : null,
  ),
  add_bias: differentiable(
    (b, index) => (index === 0 ? b.ct : null),
    (b, index) => weightGradient(b, index, 'add_bias_grad', [b.value(inputOf(b, 1)), b.ct]),
  ),
  add_alibi: differentiable(
    (b, index) => (index === 0 ? b.ct : null),
    (b, index) => weightGradient(b, index, 'add_alibi_grad', [b.value(inputOf(b, 1)), b.ct]),
  ),
  soft_cap: differentiable((b) => b.add('soft_cap_grad', [b.value(b.node.id), b.ct], { attrs: b.node.attrs })),
  concat_positions: { kind: 'constant', because: 'earlier positions are values of an earlier call' },
  columns: differentiable(
    (b, index) => {
      if (index === 1) return null;
      const width = b.shape(inputOf(b, 0))[2] ?? 0;
      const options = { params: [b.node.params[0] ?? null], attrs: { width } };
      return b.add('columns_grad', [b.ct, b.value(inputOf(b, 1))], options);
    },
    (b, index) => {
      const ids = b.value(inputOf(b, 1));
      if (index === 1) return weightGradient(b, index, 'columns_grad_bias', [ids, b.ct]);
      return weightGradient(b, index, 'columns_grad_weight', [b.value(inputOf(b, 0)), ids, b.ct]);
    },
  ),
  cross_entropy: differentiable((b, index) =>
    index === 0 ? b.add('cross_entropy_grad', [b.value(inputOf(b, 0)), b.value(inputOf(b, 1)), b.ct]) : null,
  ),
  vocab_statistics: {
    kind: 'constant',
    because: 'statistics of a distribution are read out; differentiate a loss or a logit difference',
  },
  active_top_k: { kind: 'constant', because: 'a choice of the largest entries has no derivative' },
  active_csr: { kind: 'constant', because: 'a choice of entries has no derivative' },
  top_k: { kind: 'constant', because: 'a choice of the largest entries has no derivative' },
  edit: differentiable((b, index) => {
    if (index !== 0) return null;
    const [, value = -1, ...rest] = b.node.in.map((id) => (id < 0 ? -1 : b.value(id)));
    const masks = rest.slice(0, 3);
    switch (b.node.attrs.op) {
      case 'add':
        return b.ct;
      case 'scale':
        return b.add('edit', [b.ct, value, ...rest], { attrs: b.node.attrs });
      default:
        return b.add('edit', [b.ct, -1, ...masks, -1], {
          attrs: { ...b.node.attrs, op: 'set', valueShape: 'none', constant: 0 },
        });
    }
  }),
  direction: differentiable((b, index) => {
    if (index !== 0) return null;
    if (b.node.attrs.op === 'steer') return b.ct;
    const [, unit = -1, positions = -1, heads = -1] = b.node.in.map((id) => (id < 0 ? -1 : b.value(id)));
    // Projecting out is its own transpose; a clamp adds a constant to it.
    return b.add('direction', [b.ct, unit, positions, heads, -1], { attrs: { ...b.node.attrs, op: 'project_out' } });
  }),
  edge_read: differentiable((b, index) => {
    const { heads = 0 } = b.node.attrs;
    if (index === 0) return b.add('edge_read_grad', [b.ct, -1], { attrs: { heads } });
    const last = b.node.in.length - 1;
    if (index === last) return null;
    return b.add('edge_read_grad', [b.ct, b.value(inputOf(b, last))], { attrs: { heads, delta: index - 1 } });
  }),
  project_dot: differentiable((b, index) => (index === 0 ? b.add('outer', [b.ct, b.value(inputOf(b, 1))]) : null)),
  mix_transposed: second,
  activation_grad: second,
  normalize_grad: second,
  normalize_grad_scale: second,
  norm_scale_grad: second,
  norm_grad: second,
  softmax_grad: second,
  linear_grad_weight: second,
  head_linear_grad_weight: second,
  head_result_grad_weight: second,
  head_result_grad: second,
  column_sum: second,
  embed_grad: second,
  scatter_rows: second,
  columns_grad: second,
  columns_grad_weight: second,
  columns_grad_bias: second,
  add_bias_grad: second,
  add_alibi_grad: second,
  soft_cap_grad: second,
  cross_entropy_grad: second,
  edge_read_grad: second,
  outer: second,
  pair_dots: second,
  ...expertVectorJacobians,
  ...visionVectorJacobians,
} as const satisfies { readonly [name in OperationName]: VectorJacobian };

function inputOf({ node }: Backward, index: number): number {
  const id = node.in[index];
  if (id === undefined || id < 0) {
    throw new CircuitscopeError('bad_graph', `The operation ${node.op} of the graph lacks its input ${index}.`);
  }
  return id;
}
