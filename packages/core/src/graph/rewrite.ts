import { CircuitscopeError, type Site } from '@circuitscope/schema';
import type { Dim, Graph, GraphNode } from './graph.ts';
import { makeNode, type NodeOptions } from './graph-builder.ts';
import type { OperationName } from './operations.ts';

/**
 * Graph in, graph out: a working copy in which nodes are added and readers redirected. Ids stay stable while editing;
 * `build` sorts topologically and numbers anew.
 */
export class GraphRewrite {
  readonly #graph: Graph;
  readonly #nodes = new Map<number, GraphNode>();
  #next: number;

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const node of graph.nodes) this.#nodes.set(node.id, node);
    this.#next = graph.nodes.length;
  }

  get source(): Graph {
    return this.#graph;
  }

  /** The id that the next added node gets. */
  get nextId(): number {
    return this.#next;
  }

  node(id: number): GraphNode {
    const node = this.#nodes.get(id);
    if (!node) throw new CircuitscopeError('bad_graph', `The graph has no node ${id}.`);
    return node;
  }

  /** The node that carries a site now, or undefined. */
  find(site: Site): GraphNode | undefined {
    for (const node of this.#nodes.values()) if (node.sites.includes(site)) return node;
    return undefined;
  }

  /** The node that first made a value, under the changes stacked upon it. */
  root(id: number): GraphNode {
    let node = this.node(id);
    while (node.op === 'edit' || node.op === 'direction') node = this.node(node.in[0] ?? -1);
    return node;
  }

  add(op: OperationName, inputs: readonly number[], options: NodeOptions = {}): number {
    const id = this.#next++;
    this.#nodes.set(
      id,
      makeNode(id, op, inputs, options, (of) => this.node(of).shape),
    );
    return id;
  }

  /** A name for a size that no other part of this graph uses. */
  fresh(prefix: string): string {
    return `${prefix}${this.#next++}`;
  }

  /** A value bound at the call. */
  external(name: string, shape: readonly Dim[], dtype: 'f32' | 'i32' = 'f32'): number {
    return this.add('external', [], { attrs: { name, shape }, dtype });
  }

  consumers(id: number): GraphNode[] {
    return [...this.#nodes.values()].filter((node) => node.in.includes(id));
  }

  /** Lets the readers of `from` (all, or those that `where` accepts) read `to`; `to` itself keeps reading `from`. */
  redirect(from: number, to: number, where: (reader: GraphNode) => boolean = () => true): void {
    for (const reader of this.consumers(from)) {
      if (reader.id === to || !where(reader)) continue;
      this.#nodes.set(reader.id, { ...reader, in: reader.in.map((input) => (input === from ? to : input)) });
    }
  }

  replaceNode(id: number, change: Partial<Omit<GraphNode, 'id'>>): void {
    this.#nodes.set(id, { ...this.node(id), ...change });
  }

  moveSites(from: number, to: number): void {
    this.replaceNode(to, { sites: [...this.node(to).sites, ...this.node(from).sites] });
    this.replaceNode(from, { sites: [] });
  }

  /** Ids that `roots` need, in topological order (depth first, inputs in order, so equal edits give equal orders). */
  order(roots: readonly number[]): number[] {
    const done = new Set<number>();
    const order: number[] = [];
    const stack: { id: number; next: number }[] = [];
    for (const root of roots) {
      if (done.has(root)) continue;
      stack.push({ id: root, next: 0 });
      while (stack.length > 0) {
        const top = stack[stack.length - 1];
        if (!top) break;
        const input = this.node(top.id).in[top.next++];
        if (input === undefined) {
          stack.pop();
          if (!done.has(top.id)) {
            done.add(top.id);
            order.push(top.id);
          }
        } else if (input >= 0 && !done.has(input)) {
          if (stack.some((entry) => entry.id === input)) {
            throw new CircuitscopeError('bad_graph', `The rewritten graph has a cycle through node ${input}.`);
          }
          stack.push({ id: input, next: 0 });
        }
      }
    }
    return order;
  }
}
