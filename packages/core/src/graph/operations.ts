import { CircuitscopeError } from '@circuitscope/schema';
import type { Attributes, Dim } from './graph.ts';

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
  linear: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), ...dims(attrs, 'out')], reach: 'pointwise' },
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
  scores: {
    shape: (_, inputs) => {
      const [rows = 0, pos = 0, heads = 0] = input(inputs, 0);
      return [rows, heads, pos, pos];
    },
    reach: attentionReach,
  },
  softmax: { shape: first, reach: 'pointwise' },
  mix: {
    shape: (_, inputs) => {
      const [rows = 0, heads = 0, pos = 0] = input(inputs, 0);
      return [rows, pos, heads, input(inputs, 1)[3] ?? 0];
    },
    // What a pattern above the diagonal reads, it reads: someone may have set it.
    reach: 'all',
  },
  activation: { shape: first, reach: 'pointwise' },
  repeat: { shape: (_, inputs) => ['rows', ...input(inputs, 0).slice(1)], reach: 'pointwise' },
  gather_rows: {
    shape: (_, inputs) => [...input(inputs, 1), ...input(inputs, 0).slice(2)],
    reach: 'all',
  },
  columns: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, 2), dim(attrs, 'count')], reach: 'pointwise' },
  cross_entropy: { shape: (_, inputs) => input(inputs, 1), reach: 'pointwise' },
  top_k: { shape: (attrs, inputs) => [...input(inputs, 0).slice(0, -1), dim(attrs, 'k')], reach: 'pointwise' },
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
  project_dot: { shape: (_, inputs) => input(inputs, 0).slice(0, -1), reach: 'pointwise' },
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
