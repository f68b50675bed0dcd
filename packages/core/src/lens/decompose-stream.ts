import { CircuitscopeError, type Pos, type Site } from '@circuitscope/schema';
import { findSite, type Graph, type GraphNode } from '../graph/index.ts';
import { type Engine, findWeight, type Prompt } from '../plan/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import { captureSites, type LensRun } from './capture-sites.ts';
import { throughFinalNorm } from './final-norm.ts';
import { type FinalRead, readFinal, streamSites } from './final-read.ts';

// The stream at the end as a sum of what was written into it, at the grain that a question wants. Each stack adds up to the
// stream but `accumulated`, whose entries are the stream itself after each layer.

export type StreamParts =
  /** The stream before each layer (`mid`: and between attention and MLP), and at the end. */
  | { readonly kind: 'accumulated'; readonly mid?: boolean }
  /** Embeddings and what each attention and MLP wrote, with its bias; `of` keeps one of the two. */
  | { readonly kind: 'layers'; readonly of?: 'all' | 'attn' | 'mlp' }
  /** z[h]·W_O[h] of every head, and what is left. */
  | { readonly kind: 'heads' }
  /** Heads, MLPs (neuron by neuron in `neurons`), embeddings, and output biases as one part. */
  | { readonly kind: 'full'; readonly neurons?: readonly number[] };

export interface StreamStack {
  readonly labels: readonly string[];
  /** [part, batch, position, width] */
  readonly tensor: Tensor;
}

export interface DecomposeOptions extends LensRun {
  readonly at: Pos;
  /**
   * Parts through the last norm with the scale that the whole stream has, before gain and shift; streams of `accumulated`
   * each with a scale of its own, as the unembedding would read it.
   */
  readonly applyNorm?: boolean;
}

/** The largest stack that is made, in numbers. */
const MAX_ENTRIES = 1 << 28;

/** @throws CircuitscopeError `no_lens`, `not_exact` where heads do not write by one product, `too_large` */
export async function decomposeStream(
  engine: Engine,
  prompt: Prompt,
  parts: StreamParts,
  { at, applyNorm = false, ...run }: DecomposeOptions,
): Promise<StreamStack> {
  const final = readFinal(engine.graph);
  const pieces = piecesOf(engine, final, parts);
  const scale = applyNorm && final.scale !== null && parts.kind !== 'accumulated' ? final.scale : null;
  const sites = pieces.flatMap((piece) => ('site' in piece ? [piece.site] : []));
  const taken = await captureSites(
    engine,
    prompt,
    [...sites, ...(scale === null ? [] : [scale]), final.stream],
    at,
    run,
  );
  const stream = taken.get(final.stream);
  const [batch = 0, positions = 0] = stream?.shape ?? [];
  const rows = batch * positions;
  const count = pieces.reduce((sum, piece) => sum + piece.labels.length, 0);
  if (count * rows * final.width > MAX_ENTRIES) {
    throw new CircuitscopeError(
      'too_large',
      `${count} parts at ${rows} positions are ${count * rows * final.width} numbers; choose fewer positions, or neurons of fewer layers.`,
      { expected: `at most ${MAX_ENTRIES}`, got: String(count * rows * final.width) },
    );
  }
  const size = rows * final.width;
  const whole = stream?.data ?? new Float32Array(0);
  const data = emptyLike(whole, count * size);
  let next = 0;
  const put = (values: Floats): void => data.set(values, size * next++);
  const { width } = final;
  for (const piece of pieces) {
    const found = ('site' in piece ? taken.get(piece.site)?.data : undefined) ?? whole;
    const members = piece.labels.length;
    switch (piece.kind) {
      case 'site':
        put(found);
        break;
      case 'heads':
        for (let head = 0; head < members; head++) put(oneHead(found, { head, heads: members, rows, width }));
        break;
      case 'neurons': {
        const W = findWeight(engine.weights, piece.matrix).read();
        for (let neuron = 0; neuron < members; neuron++) {
          put(oneNeuron(found, W, { neuron, neurons: members, rows, width }));
        }
        break;
      }
      case 'bias':
        put(biasRows(engine, piece.biases, { rows, width }));
        break;
      case 'remainder':
        put(remainderOf(whole, data.subarray(0, next * size)));
    }
  }
  const shape = [count, batch, positions, final.width];
  const labels = pieces.flatMap((piece) => piece.labels);
  if (!applyNorm || !final.norm) return { labels, tensor: { shape, data } };
  const normed = emptyLike(data, data.length);
  const divisors = scale === null ? undefined : taken.get(scale)?.data;
  for (let part = 0; part < count; part++) {
    normed.set(throughFinalNorm(data.subarray(part * size, (part + 1) * size), final, divisors), part * size);
  }
  if (parts.kind === 'accumulated') applyGain(engine, final, normed);
  return { labels, tensor: { shape, data: normed } };
}

/** Gain and shift of the last norm: a whole stream, unlike a part of one, is what the unembedding could read. */
function applyGain({ weights }: Engine, { gain, shift, width }: FinalRead, rows: Floats): void {
  const [w, b] = [gain, shift].map((name) => (name === null ? null : findWeight(weights, name).read()));
  for (let i = 0; i < rows.length; i++) {
    const at = i % width;
    rows[i] = rows[i]! * (w ? w[at]! : 1) + (b ? b[at]! : 0);
  }
}

type Piece =
  | { readonly kind: 'site'; readonly labels: readonly string[]; readonly site: string }
  | { readonly kind: 'heads'; readonly labels: readonly string[]; readonly site: string }
  | { readonly kind: 'neurons'; readonly labels: readonly string[]; readonly site: string; readonly matrix: string }
  | { readonly kind: 'bias'; readonly labels: readonly string[]; readonly biases: readonly string[] }
  | { readonly kind: 'remainder'; readonly labels: readonly string[] };

function piecesOf({ graph }: Engine, final: FinalRead, parts: StreamParts): Piece[] {
  const whole = (label: string, site: string): Piece => ({ kind: 'site', labels: [label], site });
  const embeddings = final.terms
    .filter(({ label }) => label.endsWith('embed'))
    .map(({ label, site }) => whole(label, site));
  const heads = (): Piece[] =>
    Array.from({ length: final.layers }, (_, layer) => {
      const count = headsOf(graph, final, layer);
      return {
        kind: 'heads',
        labels: Array.from({ length: count }, (__, head) => `L${layer}H${head}`),
        site: `blocks.${layer}.attn.hook_result`,
      };
    });
  switch (parts.kind) {
    case 'accumulated':
      return streamSites(graph, parts.mid ?? false).map(({ label, site }) => whole(label, site));
    case 'layers': {
      const { of = 'all' } = parts;
      return final.terms
        .filter(({ label }) => label.endsWith('embed') || of === 'all' || label.endsWith(`_${of}_out`))
        .map(({ label, site }) => whole(label, site));
    }
    case 'heads':
      return [...heads(), { kind: 'remainder', labels: ['remainder'] }];
    case 'full': {
      const expanded = new Set(parts.neurons ?? []);
      const biases: string[] = [];
      const mlps = final.terms.flatMap(({ label, site, node }): Piece[] => {
        const [, layer, branch] = /^(\d+)_(attn|mlp)_out$/.exec(label) ?? [];
        if (layer === undefined) return [];
        if (branch === 'attn') {
          requireProduct(node, site);
          if (node.params[1] != null) biases.push(node.params[1]);
          return [];
        }
        if (!expanded.has(Number(layer))) return [whole(label, site)];
        requireProduct(node, site);
        if (node.params[1] != null) biases.push(node.params[1]);
        const neurons = Number(graph.nodes[node.in[0] ?? -1]?.shape.at(-1));
        const matrix = node.params[0] ?? '';
        const labels = Array.from({ length: neurons }, (_, neuron) => `L${layer}N${neuron}`);
        return [{ kind: 'neurons', labels, site: `blocks.${layer}.mlp.hook_post`, matrix }];
      });
      return [...heads(), ...mlps, ...embeddings, { kind: 'bias', labels: ['bias'], biases }];
    }
  }
}

/** How many heads a layer has, whose outputs one product adds to the stream. */
export function headsOf(graph: Graph, { terms }: FinalRead, layer: number): number {
  const term = terms.find(({ label }) => label === `${layer}_attn_out`);
  if (!term) return 0;
  requireProduct(term.node, term.site);
  return Number(findSite(graph, `blocks.${layer}.attn.hook_z`).shape[2]);
}

/** @throws CircuitscopeError `not_exact` where something stands between what a branch computes and what it adds */
export function requireProduct({ op, attrs }: GraphNode, site: Site): void {
  if (op === 'linear' && attrs.transposed !== true) return;
  throw new CircuitscopeError(
    'not_exact',
    `What is added at ${site} is no single product (a norm may stand behind it), so its parts do not add up to it; decompose by layers.`,
    { at: site },
  );
}

interface Rows {
  readonly rows: number;
  readonly width: number;
}

/** One head's rows of [row, head, width]. */
function oneHead(
  results: Floats,
  { head, heads, rows, width }: Rows & { readonly head: number; readonly heads: number },
) {
  const out = emptyLike(results, rows * width);
  for (let row = 0; row < rows; row++) {
    const from = (row * heads + head) * width;
    out.set(results.subarray(from, from + width), row * width);
  }
  return out;
}

/** A neuron's activation times its row of W_out. */
function oneNeuron(
  post: Floats,
  W: Floats,
  { neuron, neurons, rows, width }: Rows & { readonly neuron: number; readonly neurons: number },
) {
  const out = emptyLike(post, rows * width);
  for (let row = 0; row < rows; row++) {
    const active = post[row * neurons + neuron]!;
    for (let i = 0; i < width; i++) out[row * width + i] = active * W[neuron * width + i]!;
  }
  return out;
}

function biasRows({ weights }: Engine, biases: readonly string[], { rows, width }: Rows): Float64Array {
  const out = new Float64Array(rows * width);
  for (const name of biases) {
    const bias = findWeight(weights, name).read();
    for (let i = 0; i < out.length; i++) out[i] = out[i]! + bias[i % width]!;
  }
  return out;
}

/** What is left of the stream when parts [part, row, width] are taken off it. */
function remainderOf(stream: Floats, parts: Floats): Float64Array {
  const out = Float64Array.from(stream);
  for (let from = 0; from < parts.length; from += out.length)
    for (let i = 0; i < out.length; i++) out[i] = out[i]! - parts[from + i]!;
  return out;
}

function emptyLike(data: Floats, length: number): Floats {
  return data instanceof Float64Array ? new Float64Array(length) : new Float32Array(length);
}
