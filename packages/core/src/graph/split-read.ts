import { CircuitscopeError, type ReaderRef, readerLabel, type Site } from '@circuitscope/schema';
import { type Graph, type GraphNode, unknownSite } from './graph.ts';
import type { GraphRewrite } from './rewrite.ts';
import { attentionSite, blockSite, headInputSite, isStream, mlpProductNames, placeOf } from './stack-sites.ts';

// Every reader of the residual stream reads the same sum. To change what one reader alone sees, its read is given a node
// of its own: for q, k and v one copy of the stream per head [rows, pos, head, model], for an MLP or the logits one.

/** The virtual site that holds what a reader reads, before its norm. */
export function readerSite(reader: ReaderRef): Site {
  switch (reader.kind) {
    case 'head':
      return headInputSite(reader, reader.port);
    case 'mlp':
      return `${blockSite(reader)}.hook_mlp_in`;
    case 'logits':
      return 'final.hook_in';
  }
}

/** The reader group that a virtual site belongs to; head is 0, as the site holds every head. */
export function readerOfSite(site: Site): ReaderRef | undefined {
  if (site === 'final.hook_in') return { kind: 'logits', port: 'in' };
  const found = placeOf(site);
  if (!found) return undefined;
  const { place, rest } = found;
  if (rest === 'hook_mlp_in' && place.stack !== 'cross') {
    const { stack, layer } = place;
    return { kind: 'mlp', ...(stack === undefined ? {} : { stack }), layer, port: 'in' };
  }
  const port = /^hook_(?:cross_)?([qkv])_input$/.exec(rest)?.[1];
  if (port !== 'q' && port !== 'k' && port !== 'v') return undefined;
  return { kind: 'head', ...place, head: 0, port };
}

/** A graph, or the working copy of one. */
interface Access {
  node(id: number): GraphNode;
  find(site: Site): GraphNode | undefined;
}

export interface Read {
  /** The node of the stream that is read. */
  readonly stream: number;
  /** The nodes between stream and product, in order: scale, normalize and affine of a norm, and a factor behind it. */
  readonly chain: readonly number[];
  /** The linear nodes that consume the read. */
  readonly products: readonly number[];
  /** Heads of the reader; 0 for readers without heads. */
  readonly heads: number;
}

/** Traces a reader back to the stream through its norm. */
export function traceRead(access: Access, graph: Graph, reader: ReaderRef): Read {
  const found = productSites(reader)
    .map((site) => access.find(site))
    .find((node) => node !== undefined);
  if (!found) throw unknownSite(graph, readerSite(reader));
  // Logits may be capped behind their product.
  const product = found.op === 'soft_cap' ? access.node(found.in[0] ?? -1) : found;
  const products = [product.id];
  if (reader.kind === 'mlp') {
    const at = `${blockSite(reader)}.mlp`;
    const up = access.find(`${at}.hook_pre_linear`);
    if (up) products.push(up.id);
    for (let expert = 0; ; expert++) {
      const both = ['hook_pre', 'hook_pre_linear'].flatMap(
        (name) => access.find(`${at}.experts.${expert}.${name}`) ?? [],
      );
      if (both.length === 0) break;
      products.push(...both.map(({ id }) => id));
    }
  }
  const heads = reader.kind === 'head' ? Number(product.shape[2]) : 0;
  const chain: number[] = [];
  let stream = product.in[0] ?? -1;
  // Only an unchanged norm is traced through: a change of its scale or output ends the trace there.
  const factor = access.node(stream);
  if (factor.op === 'scale' && !isStream(factor.sites)) {
    chain.unshift(factor.id);
    stream = factor.in[0] ?? -1;
  }
  const affine = access.node(stream);
  const normalize = affine.op === 'affine' ? access.node(affine.in[0] ?? -1) : affine;
  const scale = normalize.op === 'normalize' ? access.node(normalize.in[1] ?? -1) : normalize;
  if (scale.op === 'norm_scale' && scale.in[0] === normalize.in[0] && !isStream(affine.sites)) {
    chain.unshift(scale.id, normalize.id, ...(affine === normalize ? [] : [affine.id]));
    stream = normalize.in[0] ?? -1;
  }
  return { stream, chain, products, heads };
}

/** The nodes of a read's chain once more, over another value than the stream. The last is what the products read. */
export function copyChain(rewrite: GraphRewrite, { stream, chain }: Read, over: number): readonly number[] {
  const copies = new Map([[stream, over]]);
  return chain.map((id) => {
    const { op, in: inputs, params, attrs } = rewrite.node(id);
    const copy = rewrite.add(
      op,
      inputs.map((input) => copies.get(input) ?? input),
      { params, attrs },
    );
    copies.set(id, copy);
    return copy;
  });
}

/**
 * The reads of heads that go through a norm that holds this site, and that of an MLP which shares it. They share it until one
 * of them gets a read of its own: from then on a change of the shared norm would pass that one by.
 */
export function headReadsThrough(graph: Graph, site: Site): readonly Site[] {
  const node = graph.nodes.find(({ sites }) => sites.includes(site));
  if (!node || !(node.op === 'norm_scale' || node.op === 'normalize' || node.op === 'affine')) return [];
  const bySite = new Map(graph.nodes.flatMap((one) => one.sites.map((name) => [name, one] as const)));
  const access: Access = {
    node: (id) => graph.nodes[id] ?? node,
    find: (name) => bySite.get(name),
  };
  const reads = [...bySite.keys()].flatMap((name) => {
    const found = placeOf(name);
    const port = /^hook_([qkv])$/.exec(found?.rest ?? '')?.[1];
    if (!found || (port !== 'q' && port !== 'k' && port !== 'v')) return [];
    const reader: ReaderRef = { kind: 'head', ...found.place, head: 0, port };
    return traceRead(access, graph, reader).chain.includes(node.id)
      ? [{ site: readerSite(reader), place: found.place }]
      : [];
  });
  const beside = reads.slice(0, 1).flatMap(({ place: { stack, layer } }) => {
    if (stack === 'cross') return [];
    const reader: ReaderRef = { kind: 'mlp', ...(stack === undefined ? {} : { stack }), layer, port: 'in' };
    const through =
      productSites(reader).some((name) => bySite.has(name)) && traceRead(access, graph, reader).chain.includes(node.id);
    return through ? [readerSite(reader)] : [];
  });
  return [...reads.map(({ site: read }) => read), ...beside];
}

/** The site that a reader first makes of what it reads: the first of these that there is. */
export function productSites(reader: ReaderRef): readonly Site[] {
  switch (reader.kind) {
    case 'head':
      return [`${attentionSite(reader)}.hook_${reader.port}`];
    case 'mlp':
      return mlpProductNames.map((name) => `${blockSite(reader)}.${name}`);
    case 'logits':
      return ['logits'];
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
  const copies = copyChain(rewrite, read, split);
  const input = copies.at(-1) ?? split;
  // Where nobody else reads through the norm, its sites move along; q, k and v share theirs, in some models with the MLP.
  const last = read.chain.at(-1);
  const shared = last !== undefined && rewrite.consumers(last).some(({ id }) => !read.products.includes(id));
  if (read.heads === 0 && !shared)
    for (const [at, copy] of copies.entries()) rewrite.moveSites(read.chain[at] ?? -1, copy);
  for (const id of read.products) {
    const product = rewrite.node(id);
    const op = read.heads > 0 ? 'head_linear' : 'linear';
    const replacement = rewrite.add(op, [input], { params: product.params, attrs: product.attrs });
    rewrite.moveSites(id, replacement);
    rewrite.redirect(id, replacement);
  }
  return split;
}
