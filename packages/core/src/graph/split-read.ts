import { CircuitscopeError, type ReaderRef, readerLabel, type Site } from '@circuitscope/schema';
import { type Graph, type GraphNode, unknownSite } from './graph.ts';
import type { GraphRewrite } from './rewrite.ts';

// Every reader of the residual stream reads the same sum. To change what one reader alone sees, its read is given a node
// of its own: for q, k and v one copy of the stream per head [rows, pos, head, model], for an MLP or the logits one.

/** The virtual site that holds what a reader reads, before its norm. */
export function readerSite(reader: ReaderRef): Site {
  switch (reader.kind) {
    case 'head':
      return `blocks.${reader.layer}.hook_${reader.port}_input`;
    case 'mlp':
      return `blocks.${reader.layer}.hook_mlp_in`;
    case 'logits':
      return 'final.hook_in';
  }
}

const readerPattern = /^blocks\.(\d+)\.hook_(?:([qkv])_input|(mlp)_in)$/;

/** The reader group that a virtual site belongs to; head is 0, as the site holds every head. */
export function readerOfSite(site: Site): ReaderRef | undefined {
  if (site === 'final.hook_in') return { kind: 'logits', port: 'in' };
  const match = readerPattern.exec(site);
  if (!match) return undefined;
  const layer = Number(match[1]);
  const port = match[2];
  if (port === 'q' || port === 'k' || port === 'v') return { kind: 'head', layer, head: 0, port };
  return { kind: 'mlp', layer, port: 'in' };
}

/** A graph, or the working copy of one. */
interface Access {
  node(id: number): GraphNode;
  find(site: Site): GraphNode | undefined;
}

export interface Read {
  /** The node of the stream that is read. */
  readonly stream: number;
  /** The norm between stream and product, in order: scale, normalize, affine; empty without norm. */
  readonly norm: readonly number[];
  /** The linear nodes that consume the read. */
  readonly products: readonly number[];
  /** Heads of the reader; 0 for readers without heads. */
  readonly heads: number;
}

/** Traces a reader back to the stream through its norm. */
export function traceRead(access: Access, graph: Graph, reader: ReaderRef): Read {
  const site = productSite(reader);
  const found = access.find(site);
  if (!found) throw unknownSite(graph, readerSite(reader));
  // Logits may be capped behind their product.
  const product = found.op === 'soft_cap' ? access.node(found.in[0] ?? -1) : found;
  const products = [product.id];
  if (reader.kind === 'mlp') {
    const up = access.find(`blocks.${reader.layer}.mlp.hook_pre_linear`);
    if (up) products.push(up.id);
  }
  const from = product.in[0] ?? -1;
  const heads = reader.kind === 'head' ? Number(product.shape[2]) : 0;
  // Only an unchanged norm is traced through: a change of its scale or output ends the trace there.
  const affine = access.node(from);
  const normalize = affine.op === 'affine' ? access.node(affine.in[0] ?? -1) : affine;
  const scale = normalize.op === 'normalize' ? access.node(normalize.in[1] ?? -1) : normalize;
  if (scale.op !== 'norm_scale') return { stream: from, norm: [], products, heads };
  return { stream: normalize.in[0] ?? -1, norm: [scale.id, normalize.id, affine.id], products, heads };
}

/** The site that a reader first makes of what it reads. */
export function productSite(reader: ReaderRef): Site {
  switch (reader.kind) {
    case 'head':
      return `blocks.${reader.layer}.attn.hook_${reader.port}`;
    case 'mlp':
      return `blocks.${reader.layer}.mlp.hook_pre`;
    case 'logits':
      return 'logits';
  }
}

/**
 * Gives a reader its own copy of the stream and returns that node (an `edge_read` without deltas). Done once per
 * layer and port; the virtual site then exists like any other.
 */
export function splitRead(rewrite: GraphRewrite, reader: ReaderRef): number {
  const site = readerSite(reader);
  const existing = rewrite.find(site);
  if (existing) return existing.id;
  const read = traceRead(rewrite, rewrite.source, reader);
  if (reader.kind === 'head' && reader.head >= read.heads) {
    throw new CircuitscopeError(
      'unknown_reader',
      `${readerLabel(reader)} does not exist: that port has ${read.heads} heads.`,
      {
        at: readerLabel(reader),
        expected: `head below ${read.heads}`,
        got: String(reader.head),
      },
    );
  }
  const split = rewrite.add('edge_read', [read.stream], { attrs: { heads: read.heads }, sites: [site] });
  let input = split;
  const [scale, normalize, affine] = read.norm;
  if (scale !== undefined && normalize !== undefined && affine !== undefined) {
    const s = rewrite.add('norm_scale', [split], { attrs: rewrite.node(scale).attrs });
    const n = rewrite.add('normalize', [split, s], { attrs: rewrite.node(normalize).attrs });
    input = rewrite.add('affine', [n], { params: rewrite.node(affine).params });
  }
  // Readers without heads share their norm with nobody, so its sites move along; q, k and v share ln1, whose sites stay.
  if (read.heads === 0 && affine !== undefined) {
    for (const [from, to] of [
      [scale, rewrite.node(rewrite.node(input).in[0] ?? -1).in[1]],
      [normalize, rewrite.node(input).in[0]],
      [affine, input],
    ] as const) {
      if (from !== undefined && to !== undefined) rewrite.moveSites(from, to);
    }
  }
  for (const id of read.products) {
    const product = rewrite.node(id);
    const op = read.heads > 0 ? 'head_linear' : 'linear';
    const replacement = rewrite.add(op, [input], { params: product.params, attrs: product.attrs });
    rewrite.moveSites(id, replacement);
    rewrite.redirect(id, replacement);
  }
  return split;
}
