import { CircuitscopeError, type Site } from '@circuitscope/schema';
import { findSite, type Graph, type GraphNode } from '../../graph/index.ts';
import { findWeight, type Weights } from '../../plan/index.ts';
import {
  addKernels,
  averageKernel,
  composeKernels,
  convolutionKernel,
  identityKernel,
  type PlaneKernel,
  scaledKernel,
} from './plane-kernel.ts';

export interface ExpandedWeights {
  /** From each channel of one site to each of the other. */
  readonly kernel: PlaneKernel;
  /** What was taken as linear on the way, by site (or operation): empty where the kernel is exact. */
  readonly assumed: readonly string[];
}

/**
 * The kernels of all layers between two sites of a convolution net as one: activations count as the identity, a maximum
 * over a window as its mean; gains of norms and what branches add up to are taken along, biases do not matter. Inside the
 * image, away from padding, it is the Jacobian of the net linearised so: exact if every unit between is active, otherwise
 * what would be if they were. Where excitation and inhibition travel on different units they cancel here though not in
 * the net (C. Voss et al., Visualizing Weights, 2021).
 *
 * @throws CircuitscopeError `unknown_site`; `not_linear` for an operation on the way without such a reading; `no_path`
 */
export function expandedWeights(graph: Graph, weights: Weights, from: Site, to: Site): ExpandedWeights {
  const start = findSite(graph, from);
  const end = findSite(graph, to);
  const known = new Map<number, PlaneKernel | null>([[start.id, identityKernel(channelsOf(start, from))]]);
  const assumed = new Set<string>();
  const nodeOf = (id: number): GraphNode => {
    const node = graph.nodes[id];
    if (!node) throw new CircuitscopeError('bad_graph', `The graph has no node ${id}.`);
    return node;
  };
  // Inputs have smaller ids, so one pass upwards meets each value after what it reads.
  for (let id = start.id + 1; id <= end.id; id++) {
    const node = nodeOf(id);
    const read = node.in.map((input) => known.get(input) ?? null);
    if (read.every((kernel) => kernel === null)) continue;
    if (isUpstream(graph, id, end.id)) known.set(id, step(node, read, weights, assumed));
  }
  const kernel = known.get(end.id);
  if (!kernel) {
    throw new CircuitscopeError('no_path', `${to} does not depend on ${from}; name the earlier site first.`, {
      at: to,
      got: from,
    });
  }
  return { kernel, assumed: [...assumed] };
}

function step(
  node: GraphNode,
  read: readonly (PlaneKernel | null)[],
  weights: Weights,
  assumed: Set<string>,
): PlaneKernel {
  const branches = read.filter((kernel) => kernel !== null);
  const [first] = branches;
  const label = node.sites[0] ?? node.op;
  if (!first) throw new CircuitscopeError('bad_graph', `${label} reads nothing.`);
  const param = (index: number) => findWeight(weights, node.params[index] ?? '');
  switch (node.op) {
    case 'conv2d': {
      const W = param(0);
      return composeKernels(first, convolutionKernel({ shape: W.shape, data: W.read(), ...moves(node) }));
    }
    case 'channel_affine':
      return node.params[0] == null ? first : scaledKernel(first, param(0).read());
    case 'sum':
      return branches.slice(1).reduce(addKernels, first);
    case 'activation':
      assumed.add(label);
      return first;
    case 'max_pool2d':
      assumed.add(label);
      return composeKernels(first, averageKernel(first.out, pair(node, 'window'), moves(node)));
    case 'avg_pool2d':
      return composeKernels(first, averageKernel(first.out, pair(node, 'window'), moves(node)));
    default:
      throw new CircuitscopeError(
        'not_linear',
        `${label} lies on the way, and ${node.op} is no map between images that is the same at every place.`,
        { at: label, got: node.op },
      );
  }
}

function moves(node: GraphNode) {
  const { groups } = node.attrs;
  return {
    stride: pair(node, 'stride'),
    padding: pair(node, 'padding'),
    dilation: node.attrs.dilation === undefined ? ([1, 1] as const) : pair(node, 'dilation'),
    groups: typeof groups === 'number' ? groups : 1,
  };
}

function pair(node: GraphNode, name: string): readonly [number, number] {
  const value = node.attrs[name];
  if (Array.isArray(value)) {
    const [down, across]: readonly unknown[] = value;
    if (typeof down === 'number' && typeof across === 'number') return [down, across];
  }
  throw new CircuitscopeError('bad_graph', `${node.op} lacks the sizes ${name}.`, { at: node.sites[0] ?? node.op });
}

function isUpstream(graph: Graph, id: number, of: number): boolean {
  if (id === of) return true;
  const seen = new Set<number>();
  const open = [of];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === id) return true;
    if (next < id || seen.has(next)) continue;
    seen.add(next);
    open.push(...(graph.nodes[next]?.in ?? []));
  }
  return false;
}

function channelsOf(node: GraphNode, site: Site): number {
  const [, channels] = node.shape;
  if (node.shape.length === 4 && typeof channels === 'number') return channels;
  throw new CircuitscopeError('bad_scope', `${site} is no image of channels, so no kernel leads from or to it.`, {
    at: site,
    expected: '[batch, channels, height, width]',
    got: `[${node.shape.join(', ')}]`,
  });
}
