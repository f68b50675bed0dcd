import { CircuitscopeError } from '@circuitscope/schema';
import {
  type Attributes,
  countLayers,
  type Graph,
  type GraphNode,
  listSites,
  termsOf,
  traceRead,
} from '../graph/index.ts';

/** How a model gets from its stream to logits: a norm, and one product with the unembedding. */
export interface FinalRead {
  readonly layers: number;
  readonly width: number;
  readonly vocab: number;
  readonly norm: { readonly kind: 'layer' | 'rms'; readonly eps: number } | null;
  /** Names of weights; null where a model, or its view, has none. */
  readonly gain: string | null;
  readonly shift: string | null;
  /** What is multiplied in between norm and unembedding. */
  readonly factor: number;
  readonly unembedding: string;
  readonly bias: string | null;
  /** Attributes of the soft cap behind the product, where there is one. */
  readonly cap: Attributes | null;
  /** Site of the last norm's divisor; null without norm. */
  readonly scale: string | null;
  /** Site of the stream that is read. */
  readonly stream: string;
  /** The terms that the stream is the sum of, in the order of computation, each under its site. */
  readonly terms: readonly { readonly label: string; readonly site: string; readonly node: GraphNode }[];
}

/**
 * @throws CircuitscopeError `no_lens` where logits are not one product with what a norm of the stream gives, or the stream
 *   has terms without a name: behind an encoder's norms it is no sum
 */
export function readFinal(graph: Graph): FinalRead {
  const access = {
    node: (id: number): GraphNode => nodeOf(graph, id),
    find: (site: string) => graph.nodes.find((node) => node.sites.includes(site)),
  };
  const logits = access.find('logits');
  const capped = logits?.op === 'soft_cap';
  const product = capped ? nodeOf(graph, logits.in[0] ?? -1) : logits;
  const [width, vocab] = [nodeOf(graph, product?.in[0] ?? -1).shape.at(-1), product?.shape.at(-1)];
  const unembedding = product?.params[0];
  if (product?.op !== 'linear' || unembedding == null || typeof width !== 'number' || typeof vocab !== 'number') {
    throw noLens('its logits are not one product with an unembedding');
  }
  const { stream, chain } = traceRead(access, graph, { kind: 'logits', port: 'in' });
  const nodes = chain.map((id) => nodeOf(graph, id));
  const [scale, affine, factor] = (['norm_scale', 'affine', 'scale'] as const).map((op) =>
    nodes.find((node) => node.op === op),
  );
  const kind = scale?.attrs.kind;
  if (scale && kind !== 'layer' && kind !== 'rms') throw noLens('its last norm is of another kind');
  const [site] = nodeOf(graph, stream).sites;
  if (site === undefined) throw noLens('what its last norm reads has no name');
  return {
    layers: countLayers(graph),
    width,
    vocab,
    norm: scale ? { kind: kind === 'rms' ? 'rms' : 'layer', eps: Number(scale.attrs.eps) } : null,
    gain: affine?.params[0] ?? null,
    shift: affine?.params[1] ?? null,
    factor: factor ? Number(factor.attrs.factor) : 1,
    unembedding,
    bias: product.params[1] ?? null,
    cap: capped ? logits.attrs : null,
    scale: scale?.sites[0] ?? null,
    stream: site,
    terms: termsOf(graph, stream).map((node) => ({ ...namedTerm(node), node })),
  };
}

/** Names of the stream before each layer, between attention and MLP where `mid`, and of the final one. */
export function streamSites(graph: Graph, mid = false): { readonly label: string; readonly site: string }[] {
  const known = new Set(listSites(graph).map(({ site }) => site));
  const { layers, stream } = readFinal(graph);
  const before = Array.from({ length: layers }, (_, layer) => [
    { label: `${layer}_pre`, site: `blocks.${layer}.hook_resid_pre` },
    ...(mid ? [{ label: `${layer}_mid`, site: `blocks.${layer}.hook_resid_mid` }] : []),
  ]);
  // Where there is no MLP behind it, the stream after attention is the next one.
  return [
    ...before.flat().filter(({ site, label }) => known.has(site) || label.endsWith('_pre')),
    { label: 'final_post', site: stream },
  ];
}

function namedTerm({ sites }: GraphNode): { label: string; site: string } {
  for (const site of sites) {
    if (site === 'hook_embed' || site === 'hook_pos_embed') return { label: site.slice(5), site };
    const [, layer, branch] = /^blocks\.(\d+)\.hook_(attn|mlp)_out$/.exec(site) ?? [];
    if (layer !== undefined) return { label: `${layer}_${branch}_out`, site };
  }
  throw noLens(`its stream has a term ${sites[0] ?? 'without a name'} that is no output of a layer`);
}

function nodeOf(graph: Graph, id: number): GraphNode {
  const node = graph.nodes[id];
  if (!node) throw noLens('it has no logits');
  return node;
}

function noLens(why: string): CircuitscopeError {
  return new CircuitscopeError('no_lens', `The stream of this model cannot be read as logits: ${why}.`, {
    at: 'logits',
    got: why,
  });
}
