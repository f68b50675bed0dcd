import { memoryCheckpoint, readSafetensorsHeader, readStored } from '../checkpoints/index.ts';
import { decoderFromCheckpoint, loadDecoder, type Model } from './load-model.ts';
import { sharedFolder, sharedJson, sharedPath } from './shared-data.ts';

// For tests: models whose activations, decompositions and patching grids TransformerLens recorded in float64.

export interface LensCase {
  readonly tokens: number[][];
  readonly corrupt_tokens: number[][];
  readonly answer: number[];
  readonly wrong_answer: number[];
  readonly labels: { readonly [analysis: string]: readonly string[] };
}

/** Of the recorded models those that are run here. */
export const lensCases: readonly string[] = sharedFolder
  ? ['gpt2', 'gpt_neox', 'llama', 'toy-attn-only', 'toy-gelu-nonorm', 'toy-solu-ln']
  : [];

export function lensCase(name: string): LensCase {
  return sharedJson('golden/lens', name, 'case.json') as LensCase;
}

export function lensModel(name: string): Model {
  if (name === 'toy-solu-ln') return loadDecoder(sharedPath('golden/lens', name));
  if (!name.startsWith('toy-')) return loadDecoder(sharedPath('golden/models', name));
  const config = sharedJson('golden/lens', name, 'cfg.json');
  const all = Object.entries(config as object);
  const normed = all.some(([key, value]) => key === 'normalization_type' && value !== null);
  const known = all.filter(([key, value]) => key !== 'attn_only' && value !== null && (normed || key !== 'eps'));
  const { tensors } = readSafetensorsHeader(sharedPath('golden/lens', name, 'model.safetensors'));
  const stored = new Map(tensors.map((one) => [one.name, { shape: one.shape, data: readStored(one) }]));
  const toy = { ...Object.fromEntries(known), model_type: 'attention_only' };
  return decoderFromCheckpoint(memoryCheckpoint(name, toy, stored), name);
}

/** TransformerLens's names for values that have another name here. */
export function siteOfHook(hook: string): string {
  if (hook === 'unembed.hook_out') return 'logits';
  return hook;
}

/**
 * What float64 is held to. The gains of the toys' norms were rounded to float32 when they were stored, after their caches were made; through
 * two norms a layer more than others have, SoLU's toy makes more of that.
 */
export const lensFloat64Bound = (name: string): number => (name === 'toy-solu-ln' ? 1e-6 : 2e-7);
