import { type Graph, GraphBuilder, GraphRewrite } from '../graph/index.ts';
import type { Executor, Weight, Weights } from '../plan/index.ts';
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
