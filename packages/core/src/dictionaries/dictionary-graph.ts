import { type Graph, GraphBuilder, GraphRewrite } from '../graph/index.ts';
import type { Executor, LatentRows, Weight, Weights } from '../plan/index.ts';
import { lower } from '../plan/lower.ts';
import { type Tensor, tensor } from '../tensor/index.ts';
import { DictionaryNodes } from './add-dictionary.ts';
import type { Dictionary } from './dictionary.ts';

/** A dictionary alone, as a graph with the input `x` f32 [batch, pos, dIn], or [batch, pos, heads, width]. */
export interface DictionaryGraph {
  /** Sites `hook_sae_acts_pre`, `hook_sae_acts_post`, `hook_sae_recons`; the output is the reconstruction. */
  readonly graph: Graph;
  readonly weights: Weights;
}

/** @param heads how many heads the input has, for a dictionary that reads heads */
export function dictionaryGraph(dictionary: Dictionary, heads = 1): DictionaryGraph {
  const builder = new GraphBuilder();
  const inner = dictionary.heads ? [heads, dictionary.dIn / heads] : [dictionary.dIn];
  const x = builder.input('x', { shape: ['batch', 'pos', ...inner], dtype: 'f32' });
  const nodes = new DictionaryNodes(builder, dictionary, { id: x, inner }, '');
  const { pre, gate } = nodes.encode();
  builder.name(pre, 'hook_sae_acts_pre');
  const latents = nodes.activate(pre, gate);
  builder.name(latents, 'hook_sae_acts_post');
  const reconstruction = nodes.decode(latents);
  builder.name(reconstruction, 'hook_sae_recons');
  for (const [name, { shape }] of nodes.used) builder.param(name, shape);
  return { graph: builder.build(reconstruction), weights: new Map<string, Weight>(nodes.used) };
}

/**
 * The active latents of activations [rows, dIn], or [rows, heads, width] where the dictionary reads heads, as sparse rows; all
 * latents of a row are never held where the dictionary's kind allows.
 * @param perRow active latents of a row that there is room for, on average; by default all
 * @throws CircuitscopeError `capacity` where more are active
 */
export async function activeLatents(
  dictionary: Dictionary,
  x: Tensor,
  executor: Executor,
  perRow = dictionary.latents,
): Promise<LatentRows> {
  const [rows = 0, ...inner] = x.shape;
  const builder = new GraphBuilder();
  const sizes = dictionary.heads ? inner : [dictionary.dIn];
  const input = builder.input('x', { shape: ['batch', 'pos', ...sizes], dtype: 'f32' });
  const nodes = new DictionaryNodes(builder, dictionary, { id: input, inner: sizes }, '');
  const latents = builder.add('active_csr', [nodes.read()], { attrs: { entries: 'entries', rowStarts: 'rowStarts' } });
  for (const [name, { shape }] of nodes.used) builder.param(name, shape);
  const { program } = lower(new GraphRewrite(builder.build(latents)), [{ name: 'f', node: latents }], { variants: 1 });
  const made = await executor.execute(program, new Map<string, Weight>(nodes.used), {
    sizes: { batch: rows, pos: 1, entries: rows * perRow, rowStarts: rows + 1 },
    inputs: { x: x.data },
  });
  const { f, 'f.indices': indices, 'f.rowStart': rowStart } = made;
  if (!f || f instanceof Int32Array || !(indices instanceof Int32Array) || !(rowStart instanceof Int32Array))
    throw new Error('no sparse rows');
  const used = rowStart[rows] ?? 0;
  return { kind: 'latents', shape: [rows], rowStart, latents: indices.slice(0, used), values: f.slice(0, used) };
}

export interface DictionaryValues {
  /** [rows, latents] */
  readonly pre: Tensor;
  readonly latents: Tensor;
  /** [rows, dOut], or as x where the dictionary reads heads. */
  readonly reconstruction: Tensor;
}

/** Reads activations [rows, dIn], or [rows, heads, width] where the dictionary reads heads, through a dictionary. */
export async function applyDictionary(
  dictionary: Dictionary,
  x: Tensor,
  executor: Executor,
): Promise<DictionaryValues> {
  const [rows = 0, ...inner] = x.shape;
  const { graph, weights } = dictionaryGraph(dictionary, dictionary.heads ? inner[0] : 1);
  const sites = ['hook_sae_acts_pre', 'hook_sae_acts_post', 'hook_sae_recons'] as const;
  const outputs = sites.map((site) => ({
    name: site,
    node: graph.nodes.findIndex((node) => node.sites.includes(site)),
  }));
  const { program } = lower(new GraphRewrite(graph), outputs, { variants: 1 });
  const sizes = { batch: rows, rows, cotangents: rows, groups: 1, pos: 1 };
  const made = await executor.execute(program, weights, { sizes, inputs: { x: x.data } });
  const out = (site: (typeof sites)[number], shape: readonly number[]): Tensor => {
    const data = made[site];
    if (!data || data instanceof Int32Array) throw new Error(`no floats at ${site}`);
    return tensor(shape, data);
  };
  const { latents, dOut } = dictionary;
  return {
    pre: out('hook_sae_acts_pre', [rows, latents]),
    latents: out('hook_sae_acts_post', [rows, latents]),
    reconstruction: out('hook_sae_recons', dictionary.heads ? x.shape : [rows, dOut]),
  };
}
