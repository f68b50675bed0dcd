import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { type LlamaDefaults, llamaSizes } from './llama.ts';
import { llamaSources } from './stored-llama.ts';

// Gemma 1: Llama with embeddings times the root of the width, norms that store their gain less one, and a GELU gate. Gemma
// team 2024.

export const gemma: Architecture = {
  name: 'gemma',
  claims: (checkpoint) => modelType(checkpoint) === 'gemma',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = gemmaSizes(config);
    // The older name of the setting. Files that call the GELU exact here run either way, depending on who reads them; the
    // models were trained on the approximate one.
    if (config.value('hidden_activation') === undefined) config.only('hidden_act', ['gelu_pytorch_tanh']);
    config.value('hidden_act');
    config.finish(bookkeeping);
    return sizes;
  },
  sources: (checkpoint, spec) => llamaSources(checkpoint, spec, { gainOffset: 1 }),
};

/** What the configs of all Gemmas share. */
export function gemmaSizes(config: ConfigReader, defaults: LlamaDefaults = {}): DecoderSpec {
  const activation = { key: 'hidden_activation', usual: 'gelu_pytorch_tanh' };
  const sizes = llamaSizes(config, { context: 8192, tied: true, headWidth: 256, activation, ...defaults });
  const bias = config.flag('attention_bias', false);
  config.only('use_bidirectional_attention', [false]);
  return {
    ...sizes,
    embedding: { scale: Math.sqrt(sizes.width) },
    biases: { qkv: bias, out: bias, mlp: false, unembed: false },
  };
}
