// The recorded decoders, and what each is there to show. For tests alone.

export const recordedFamilies = [
  'gpt2',
  'gpt2-inverse-layer-scale',
  'gpt_neo',
  'gpt_neox',
  'gpt_neox-sequential',
  'gptj',
  'opt',
  'bloom',
  'bloom-pow2',
  'llama',
  'llama-bias-headdim',
  'llama-rope-linear',
  'llama-rope-dynamic',
  'llama-rope-llama3',
  'llama-rope-yarn',
  'llama-rope-yarn-mscale',
  'mistral',
  'mixtral',
  'qwen2',
  'qwen2-sliding',
  'qwen3',
  'gemma',
  'gemma2',
  'gemma3',
  'olmo2',
  'phi',
  'phi3',
  'phi3-longrope',
  'falcon',
  'stablelm',
] as const;

export type RecordedFamily = (typeof recordedFamilies)[number];

/**
 * What float64 is held to. transformers writes √(2/π) in BLOOM's activation with eight digits: the same float32, but in float64
 * another number in the ninth place.
 */
export function float64Bound(family: RecordedFamily, bound: number): number {
  return family.startsWith('bloom') ? Math.max(bound, 5e-9) : bound;
}
