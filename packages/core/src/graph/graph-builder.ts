import { CircuitscopeError, type Site } from '@circuitscope/schema';
import type { Attributes, Dim, Graph, GraphNode, GraphParam } from './graph.ts';
import { type Operation, type OperationName, operations } from './operations.ts';

export interface NodeOptions {
  readonly params?: readonly (string | null)[];
  readonly attrs?: Attributes;
  readonly sites?: readonly Site[];
  readonly dtype?: 'f32' | 'i32';
}

export interface InputOptions {
  readonly shape?: readonly Dim[];
  readonly dtype?: 'f32' | 'i32';
  /** For an input [n, n] that tells distances apart: how they fall into buckets, from which a call makes it. */
  readonly buckets?: { readonly count: number; readonly maxDistance: number; readonly causal: boolean };
  /** What else a call needs to know to make the input. */
  readonly attrs?: Attributes;
}

/** Appends nodes in topological order and works out their shapes; the one place where architectures make graphs. */
export class GraphBuilder {
  readonly #nodes: GraphNode[] = [];
  readonly #params = new Map<string, GraphParam>();
  readonly #inputs: { [name: string]: number } = {};

  /** An input: i32 [batch, pos] if nothing else is said. Asked for again, it is the same one. */
  input(name: string, { shape = ['batch', 'pos'], dtype = 'i32', buckets, attrs = {} }: InputOptions = {}): number {
    const known = this.#inputs[name];
    if (known !== undefined) return known;
    const id = this.add('input', [], { attrs: { ...attrs, name, shape, ...(buckets ? { buckets } : {}) }, dtype });
    this.#inputs[name] = id;
    return id;
  }

  param(name: string, shape: readonly number[], heads?: GraphParam['heads']): string {
    this.#params.set(name, heads ? { name, shape, heads } : { name, shape });
    return name;
  }

  add(op: OperationName, inputs: readonly number[], options: NodeOptions = {}): number {
    const id = this.#nodes.length;
    this.#nodes.push(makeNode(id, op, inputs, options, (of) => this.shape(of)));
    return id;
  }

  shape(id: number): readonly Dim[] {
    const node = this.#nodes[id];
    if (!node) throw new CircuitscopeError('bad_graph', `Node ${id} does not exist yet.`);
    return node.shape;
  }

  /** Gives an existing value one more name. */
  name(id: number, site: Site): void {
    const node = this.#nodes[id];
    if (node) this.#nodes[id] = { ...node, sites: [...node.sites, site] };
  }

  build(output: number): Graph {
    return { nodes: this.#nodes, inputs: this.#inputs, output, params: [...this.#params.values()] };
  }
}

export function makeNode(
  id: number,
  op: OperationName,
  inputs: readonly number[],
  options: NodeOptions,
  shapeOf: (id: number) => readonly Dim[],
): GraphNode {
  const operation: Operation = operations[op];
  const attrs = options.attrs ?? {};
  return {
    id,
    op,
    in: inputs,
    params: options.params ?? [],
    attrs,
    shape: operation.shape(
      attrs,
      inputs.map((input) => (input < 0 ? null : shapeOf(input))),
    ),
    dtype: options.dtype ?? operation.dtype ?? 'f32',
    sites: options.sites ?? [],
  };
}
