import { CircuitscopeError } from '@circuitscope/schema';
import type { GraphNode } from './graph.ts';
import type { GraphRewrite } from './rewrite.ts';
import { type Backward, type VectorJacobian, vectorJacobians } from './vector-jacobian.ts';

// Reverse mode as a rewrite: cotangent nodes are appended from the targets back to what they are wanted for. Only nodes
// between the two get one. Griewank & Walther, Evaluating Derivatives, 2008.

export interface DifferentiateRequest {
  /** Cotangents that enter at a node: nodes shaped as it, with a row per target. */
  readonly seeds: ReadonlyMap<number, readonly number[]>;
  readonly nodes: ReadonlySet<number>;
  readonly params: ReadonlySet<string>;
  /** Nodes that keep their value and cut the cotangent. */
  readonly frozen: ReadonlySet<number>;
  /** The shape of each weight. */
  readonly paramShape: (name: string) => readonly number[];
  /**
   * Forward values that are kept for the backward; all others are computed anew from them where they are needed. All are
   * kept if left out. Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
   */
  readonly keep?: (node: GraphNode) => boolean;
}

export interface Gradients {
  /** Node to its cotangent; what no target depends on is missing. */
  readonly nodes: ReadonlyMap<number, number>;
  readonly params: ReadonlyMap<string, number>;
  /** The first id that belongs to the backward: such nodes are best run in the order of their ids. */
  readonly from: number;
}

export function differentiate(rewrite: GraphRewrite, request: DifferentiateRequest): Gradients {
  const order = rewrite.order([...request.seeds.keys()]);
  const from = rewrite.nextId;
  const needed = findNeeded(rewrite, order, request);
  const value = request.keep ? recompute(rewrite, request.keep) : (id: number): number => id;
  const readers = readersOf(rewrite, order);
  const alone = (id: number, reader: number): boolean => readers.get(id)?.every((other) => other === reader) ?? true;
  const arriving = new Map<number, number[]>();
  const arrive = (id: number, ct: number): void => void arriving.set(id, [...(arriving.get(id) ?? []), ct]);
  const uses = new Map<string, number[]>();
  const nodes = new Map<number, number>();
  for (const [id, seeds] of request.seeds) for (const seed of seeds) arrive(id, seed);

  for (const id of [...order].reverse()) {
    const terms = arriving.get(id);
    if (!terms || !needed.has(id)) continue;
    const ct = terms.length === 1 ? (terms[0] ?? -1) : rewrite.add('sum', terms);
    arriving.delete(id);
    if (request.nodes.has(id)) nodes.set(id, ct);
    if (request.frozen.has(id)) continue;
    const node = rewrite.node(id);
    const jacobian: VectorJacobian = vectorJacobians[node.op];
    if (jacobian.kind === 'source') continue;
    const wantedInputs = node.in.flatMap((input, at) => (input >= 0 && needed.has(input) ? [at] : []));
    const wantedParams = node.params.flatMap((name, at) => (name !== null && request.params.has(name) ? [at] : []));
    if (wantedInputs.length + wantedParams.length === 0) continue;
    if (jacobian.kind === 'constant') {
      throw new CircuitscopeError(
        'not_differentiable',
        `A gradient would have to pass through ${node.sites[0] ?? `the operation ${node.op}`}, but ${jacobian.because}.`,
        { at: node.sites[0] ?? node.op, got: node.op },
      );
    }
    const backward: Backward = {
      node,
      ct,
      value,
      shape: (of) => rewrite.node(of).shape,
      paramShape: (at) => request.paramShape(node.params[at] ?? ''),
      add: (op, inputs, options) => rewrite.add(op, inputs, options ?? {}),
    };
    for (const at of wantedParams) {
      const name = node.params[at] ?? '';
      if (jacobian.param) uses.set(name, [...(uses.get(name) ?? []), jacobian.param(backward, at)]);
    }
    const norm = fusedNorm(rewrite, request, backward, needed, alone);
    if (norm) arrive(norm.to, norm.ct);
    else {
      for (const at of wantedInputs) {
        const flowing = jacobian.input(backward, at);
        if (flowing !== null) arrive(node.in[at] ?? -1, flowing);
      }
    }
  }
  const params = new Map(
    [...uses].map(([name, terms]) => [name, terms.length === 1 ? (terms[0] ?? -1) : rewrite.add('sum', terms)]),
  );
  return { nodes, params, from };
}

function readersOf(rewrite: GraphRewrite, order: readonly number[]): ReadonlyMap<number, readonly number[]> {
  const readers = new Map<number, number[]>();
  for (const id of order) {
    for (const input of rewrite.node(id).in) {
      const known = readers.get(input);
      if (known) known.push(id);
      else readers.set(input, [id]);
    }
  }
  return readers;
}

/** Nodes on whose way to a target lies something wanted: the others need no cotangent. */
function findNeeded(
  rewrite: GraphRewrite,
  order: readonly number[],
  request: DifferentiateRequest,
): ReadonlySet<number> {
  const needed = new Set<number>();
  for (const id of order) {
    const node = rewrite.node(id);
    const below =
      !request.frozen.has(id) &&
      (node.in.some((input) => needed.has(input)) ||
        node.params.some((name) => name !== null && request.params.has(name)));
    if (below || request.nodes.has(id)) needed.add(id);
  }
  return needed;
}

/**
 * A norm of which nobody wants the scale's cotangent goes back in one step, its gain included. Its parts give the same
 * terms; so where the scale is asked for, the sum may be rounded in another order.
 */
function fusedNorm(
  rewrite: GraphRewrite,
  request: DifferentiateRequest,
  { node, ct, value, add }: Backward,
  needed: ReadonlySet<number>,
  alone: (id: number, reader: number) => boolean,
): { readonly to: number; readonly ct: number } | undefined {
  const [x = -1, scaleId = -1] = node.in;
  if (node.op !== 'normalize' || !needed.has(x) || !needed.has(scaleId)) return undefined;
  const scale = rewrite.node(scaleId);
  if (scale.op !== 'norm_scale' || scale.in[0] !== x || !alone(scaleId, node.id)) return undefined;
  if (request.frozen.has(scaleId) || request.nodes.has(scaleId) || request.seeds.has(scaleId)) return undefined;
  const { kind = null } = node.attrs;
  const gain = rewrite.node(ct);
  // The cotangent of the norm's output, before its gain, if that product is the backward's own.
  const own = gain.op === 'affine' && gain.params[1] == null && gain.sites.length === 0 && !request.nodes.has(node.id);
  const [outer, w] = own ? [gain.in[0] ?? -1, gain.params[0] ?? null] : [ct, null];
  return { to: x, ct: add('norm_grad', [value(x), value(scaleId), outer], { params: [w], attrs: { kind } }) };
}

/** Copies of forward nodes down to those that are kept, made when a backward first reads them. */
function recompute(rewrite: GraphRewrite, keep: (node: GraphNode) => boolean): (id: number) => number {
  const copies = new Map<number, number>();
  const copy = (id: number): number => {
    if (id < 0) return id;
    const known = copies.get(id);
    if (known !== undefined) return known;
    const node = rewrite.node(id);
    const { op, attrs, params, dtype } = node;
    const kept = op === 'input' || op === 'external' || keep(node);
    const made = kept ? id : rewrite.add(op, node.in.map(copy), { attrs, params, dtype });
    copies.set(id, made);
    return made;
  };
  return copy;
}
