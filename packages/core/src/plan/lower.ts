import type { Attributes, Dim, GraphNode, GraphRewrite } from '../graph/index.ts';
import { assignSlots } from './assign-slots.ts';
import type { Program, Step } from './program.ts';

// From nodes to steps. What differs between variants runs once per variant and example ('rows'), the rest once per
// example ('batch') and is repeated where the two meet. Norms and attention whose inner values nobody changes become
// one step; it gives the inner values out on request, with the same bits.

export interface LoweredInput {
  readonly name: string;
  /** The graph input or external that the call makes; `repeat` tiles it once per variant. */
  readonly node: number;
  readonly repeat: boolean;
}

export interface Lowered {
  readonly program: Program;
  readonly inputs: readonly LoweredInput[];
}

/** Attributes that kernels read; the others only serve shapes. */
const kernelAttributes: { readonly [op: string]: readonly string[] } = {
  embed: ['transposed'],
  norm_scale: ['kind', 'eps'],
  normalize: ['kind'],
  head_result: ['head'],
  rotary: ['layout', 'dims'],
  scores: ['scale', 'causal'],
  activation: ['fn'],
  top_k: ['k'],
  edit: ['op', 'dims', 'valueShape', 'constant'],
  direction: ['op', 'dims', 'perRow'],
  edge_read: ['heads'],
};

export function lower(
  rewrite: GraphRewrite,
  outputs: readonly { readonly name: string; readonly node: number }[],
  variants: number,
): Lowered {
  const order = rewrite.order(outputs.map(({ node }) => node));
  const nodes = new Map(order.map((id) => [id, rewrite.node(id)]));
  const node = (id: number): GraphNode => nodes.get(id) ?? rewrite.node(id);
  const varying = findVarying(order, node, variants);
  const fused = findFused(order, node);

  const values: { shape: readonly Dim[]; dtype: 'f32' | 'i32' }[] = [];
  const steps: Step[] = [];
  const inputs: (LoweredInput & { readonly value: number })[] = [];
  const params: string[] = [];
  const valueOfNode = new Map<number, number>();
  const repeated = new Map<number, number>();

  const newValue = (shape: readonly Dim[], dtype: 'f32' | 'i32'): number => values.push({ shape, dtype }) - 1;
  const shapeFor = (of: GraphNode): readonly Dim[] => {
    const leading = of.shape[0];
    const rows = leading === 'rows' || leading === 'batch' ? (varying.has(of.id) ? 'rows' : 'batch') : leading;
    return rows === undefined ? of.shape : [rows, ...of.shape.slice(1)];
  };
  const paramIndex = (name: string | null): number => {
    if (name === null) return -1;
    const known = params.indexOf(name);
    return known >= 0 ? known : params.push(name) - 1;
  };
  const isSource = (of: GraphNode): boolean => of.op === 'input' || of.op === 'external';
  const source = (of: GraphNode, repeat: boolean): number => {
    const shape = repeat ? (['rows', ...of.shape.slice(1)] as const) : shapeFor(of);
    const value = newValue(shape, of.dtype);
    const label = of.op === 'input' ? String(of.attrs.name) : `x${inputs.length}`;
    inputs.push({ name: repeat ? `${label}@rows` : label, node: of.id, repeat, value });
    return value;
  };
  /** The value of an input as its reader needs it: with one row per variant if the reader varies. */
  const operand = (id: number, rows: boolean): number => {
    if (id < 0) return -1;
    const of = node(id);
    if (!rows || varying.has(id) || of.shape[0] !== 'batch') {
      let value = valueOfNode.get(id);
      if (value === undefined && isSource(of)) {
        value = source(of, false);
        valueOfNode.set(id, value);
      }
      return value ?? -1;
    }
    let value = repeated.get(id);
    if (value === undefined) {
      if (isSource(of)) value = source(of, true);
      else {
        value = newValue(['rows', ...of.shape.slice(1)], of.dtype);
        steps.push({ kernel: 'repeat', in: [operand(id, false)], out: [value], params: [], attrs: {} });
      }
      repeated.set(id, value);
    }
    return value;
  };
  const wanted = new Set(outputs.map((output) => output.node));
  /** The value for an inner part of a fused step, made only if it is read out. */
  const inner = (id: number): number => {
    if (!wanted.has(id)) return -1;
    const value = newValue(shapeFor(node(id)), 'f32');
    valueOfNode.set(id, value);
    return value;
  };

  for (const id of order) {
    const of = node(id);
    if (isSource(of) || fused.inner.has(id)) continue;
    const rows = varying.has(id);
    const triple = fused.steps.get(id);
    if (triple) {
      const operands = triple.in.map((input) => operand(input, rows));
      const result = newValue(shapeFor(of), 'f32');
      valueOfNode.set(id, result);
      steps.push({
        kernel: triple.kernel,
        in: operands,
        out: [result, inner(triple.first), inner(triple.second)],
        params: triple.params.map(paramIndex),
        attrs: triple.attrs,
      });
      continue;
    }
    // Reads take shared rows as they are: copying every writer's output for every variant would dwarf the arena.
    const operands = of.in.map((input, at) =>
      operand(input, rows && !(of.op === 'edge_read' && of.in.length > 1 && at < of.in.length - 1)),
    );
    // A read without edges has no mask.
    if (of.op === 'edge_read' && operands.length === 1) operands.push(-1);
    const result = newValue(shapeFor(of), of.dtype);
    valueOfNode.set(id, result);
    const out = of.op === 'top_k' ? [result, newValue(shapeFor(of), 'i32')] : [result];
    steps.push({
      kernel: of.op,
      in: operands,
      out,
      params: of.params.map(paramIndex),
      attrs: pick(of.attrs, kernelAttributes[of.op] ?? []),
    });
  }

  const named = outputs.flatMap(({ name, node: id }) => {
    const value = operand(id, false);
    const step = node(id).op === 'top_k' ? steps.find(({ out }) => out[0] === value) : undefined;
    const indices = step?.out[1];
    return indices === undefined
      ? [{ name, value }]
      : [
          { name, value },
          { name: `${name}.indices`, value: indices },
        ];
  });
  return { program: assignSlots({ values, steps, inputs, params, outputs: named }), inputs };
}

function pick(attrs: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attrs).filter(([name]) => names.includes(name)));
}

/** Nodes whose value differs between variants. With one variant nothing varies. */
function findVarying(order: readonly number[], node: (id: number) => GraphNode, variants: number): ReadonlySet<number> {
  const varying = new Set<number>();
  if (variants === 1) return varying;
  for (const id of order) {
    const of = node(id);
    if (of.shape[0] === 'rows' || of.in.some((input) => varying.has(input))) varying.add(id);
  }
  return varying;
}

interface FusedStep {
  readonly kernel: 'norm' | 'attention';
  readonly in: readonly number[];
  readonly params: readonly (string | null)[];
  readonly attrs: Attributes;
  /** Ids of the inner nodes, in the order of the step's second and third output. */
  readonly first: number;
  readonly second: number;
}

function findFused(order: readonly number[], node: (id: number) => GraphNode) {
  const readers = new Map<number, number[]>();
  for (const id of order)
    for (const input of node(id).in) if (input >= 0) readers.set(input, [...(readers.get(input) ?? []), id]);
  const onlyReader = (id: number, reader: number): boolean =>
    (readers.get(id) ?? []).every((other) => other === reader);
  const steps = new Map<number, FusedStep>();
  const inner = new Set<number>();
  for (const id of order) {
    const last = node(id);
    const middle = last.in[0] === undefined || last.in[0] < 0 ? undefined : node(last.in[0]);
    if (!middle || !onlyReader(middle.id, id)) continue;
    if (last.op === 'mix' && middle.op === 'softmax') {
      const scores = node(middle.in[0] ?? -1);
      if (scores.op !== 'scores' || !onlyReader(scores.id, middle.id)) continue;
      const [q = -1, k = -1, mask = -1] = scores.in;
      const attrs = pick(scores.attrs, ['scale', 'causal']);
      steps.set(id, {
        kernel: 'attention',
        in: [q, k, last.in[1] ?? -1, mask],
        params: [],
        attrs,
        first: scores.id,
        second: middle.id,
      });
      inner.add(middle.id).add(scores.id);
    } else if (last.op === 'affine' && middle.op === 'normalize') {
      const scale = node(middle.in[1] ?? -1);
      if (scale.op !== 'norm_scale' || scale.in[0] !== middle.in[0] || !onlyReader(scale.id, middle.id)) continue;
      steps.set(id, {
        kernel: 'norm',
        in: [middle.in[0] ?? -1],
        params: last.params,
        attrs: scale.attrs,
        first: scale.id,
        second: middle.id,
      });
      inner.add(middle.id).add(scale.id);
    }
  }
  return { steps, inner };
}
