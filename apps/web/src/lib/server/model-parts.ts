import type { AnyModel } from '@circuitscope/core';
import { modelRef, siteTable } from '@circuitscope/core';
import { describeSite } from '@circuitscope/core/graph';
import type { ModelBlock, ModelBlocks } from '@circuitscope/schema';
import { openKnown } from './open-models.ts';
import { spell } from './read-text.ts';

/** Sites that researchers look for; a page says of each whether this model has it. */
const LOOKED_FOR = [
  'hook_embed',
  'hook_pos_embed',
  'blocks.0.hook_resid_pre',
  'blocks.0.ln1.hook_scale',
  'blocks.0.attn.hook_q',
  'blocks.0.attn.hook_k',
  'blocks.0.attn.hook_v',
  'blocks.0.attn.hook_rot_q',
  'blocks.0.attn.hook_rot_k',
  'blocks.0.attn.hook_attn_scores',
  'blocks.0.attn.hook_pattern',
  'blocks.0.attn.hook_z',
  'blocks.0.attn.hook_result',
  'blocks.0.hook_attn_out',
  'blocks.0.hook_resid_mid',
  'blocks.0.ln2.hook_scale',
  'blocks.0.mlp.hook_pre',
  'blocks.0.mlp.hook_pre_linear',
  'blocks.0.mlp.hook_post',
  'blocks.0.hook_mlp_out',
  'blocks.0.hook_resid_post',
  'ln_final.hook_scale',
  'ln_final.hook_normalized',
] as const;

/** A config longer than this is a vocabulary in disguise. */
const MOST_CONFIG = 20_000;

interface Layered {
  /** `blocks.{0–4}.hook_resid_pre`: layers that are alike share a row. */
  readonly name: string;
  readonly shape: readonly (number | string)[];
}
export interface SiteLine extends Layered {
  readonly meaning: string;
  readonly state: 'computed' | 'on request' | 'not in this model';
}
export interface ParameterLine extends Layered {
  readonly dtype: string;
  /** Of all layers together. */
  readonly bytes: number;
}

/** What a model is made of, for its page. Nothing is run. */
export async function modelParts(name: string) {
  const open = await openKnown(name);
  const { model, known, tokenizer } = open;
  const { checkpoint } = model;
  const sites = siteTable(model.graph);
  const have = new Set(sites.map((site) => site.name));
  const lines = byLayer(sites, ({ shape, onRequest }) => `${shape.join()} ${onRequest}`).map(
    ({ name: site, entry: { shape, meaning, onRequest } }): SiteLine => ({
      name: site,
      shape,
      meaning,
      state: onRequest ? 'on request' : 'computed',
    }),
  );
  const isText = model.spec.kind === 'decoder';
  const absent = LOOKED_FOR.filter((site) => isText && !have.has(site)).map(
    (site): SiteLine => ({
      name: site.replace('blocks.0.', 'blocks.{}.'),
      shape: [],
      meaning: describeSite(site),
      state: 'not in this model',
    }),
  );
  const tensors = [...checkpoint.tensors.values()];
  const parameters = byLayer(tensors, ({ dtype, shape }) => `${dtype} ${shape.join()}`).map(
    ({ name: tensor, entry, count }): ParameterLine => ({
      name: tensor,
      shape: [...entry.shape],
      dtype: entry.dtype,
      bytes: entry.byteLength * count,
    }),
  );
  const config = JSON.stringify(checkpoint.config ?? null, null, 2) ?? 'null';
  return {
    name: known.name,
    title: known.title,
    source: known.source,
    ref: await modelRef(model),
    decoder: isText,
    format: checkpoint.kind,
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    blocks: blocksOf(model),
    sites: [...lines, ...absent],
    parameters,
    config: config === 'null' ? null : config.slice(0, MOST_CONFIG),
    tokenizer: tokenizer && {
      kind: tokenizer.kind,
      size: tokenizer.size,
      bos: tokenizer.bosId === null ? null : { id: tokenizer.bosId, text: spell(open, tokenizer.bosId) },
      first: Array.from({ length: Math.min(12, tokenizer.size) }, (_, id) => ({ id, text: spell(open, id) })),
    },
  };
}

/** `blocks.3.`, and the `.3` at the end of llama2.c's names. */
const LAYER = /(^|\.)(\d+)(\.|$)/;

/** Entries whose names differ in the layer alone, and that are alike, as one. */
function byLayer<T extends { readonly name: string }>(entries: readonly T[], likeness: (entry: T) => string) {
  const groups = new Map<string, { readonly entry: T; readonly layers: number[]; readonly pattern: string }>();
  for (const entry of entries) {
    const layer = LAYER.exec(entry.name);
    const pattern = layer ? entry.name.replace(LAYER, '$1{}$3') : entry.name;
    const key = `${pattern} ${likeness(entry)}`;
    const group = groups.get(key) ?? { entry, layers: [], pattern };
    group.layers.push(layer ? Number(layer[2]) : 0);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ entry, layers, pattern }) => ({
    name: layers.length > 1 ? pattern.replace('{}', `{${ranges(layers)}}`) : entry.name,
    entry,
    count: layers.length,
  }));
}

/** 0, 1, 2, 5 → 0–2, 5 */
function ranges(layers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const layer of [...layers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && layer === last[1] + 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}

/** The drawing of a transformer with one stream; null for other kinds, whose sites are listed all the same. */
export function blocksOf({ name, spec }: Pick<AnyModel, 'name' | 'spec'>): ModelBlocks | null {
  if (spec.kind === 'encoder') {
    const { layers, heads, headWidth, width, inner, vocab, activation, tied } = spec;
    const block: ModelBlock = {
      attention: { heads, kvHeads: heads, headWidth },
      mlp: { width: inner, activation, gated: false },
      norms: 'sum',
      residual: 'sequential',
    };
    const blocks = Array.from({ length: layers }, () => block);
    return { kind: 'model_blocks', name, width, vocab, positions: 'learned', norm: 'layer', blocks, tied };
  }
  if (spec.kind !== 'decoder') return null;
  const { layers, heads, kvHeads, headWidth, width, inner, vocab, activation, gated, norm, positions, tied } = spec;
  const { norms = 'pre', residual = 'sequential' } = spec.block ?? {};
  const blocks = Array.from({ length: layers }, (_, layer): ModelBlock => {
    const window = spec.attention?.windows?.[layer];
    return {
      attention: { heads, kvHeads, headWidth, ...(window == null ? {} : { window }) },
      ...(inner > 0 ? { mlp: { width: inner, activation, gated } } : {}),
      norms: norm ? norms : 'none',
      residual: inner > 0 ? residual : 'sequential',
    };
  });
  return {
    kind: 'model_blocks',
    name,
    width,
    vocab,
    positions: positions.kind === 'alibi' ? 'ALiBi' : positions.kind,
    ...(norm ? { norm: norm.kind } : {}),
    blocks,
    tied,
  };
}
