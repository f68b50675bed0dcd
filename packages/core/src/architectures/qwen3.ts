import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { qwenWindows } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Qwen 3: Llama with an RMS norm over each head's query and key before they turn, and no biases. Yang et al. 2025.

export const qwen3: Architecture = {
  name: 'qwen3',
  claims: (checkpoint) => modelType(checkpoint) === 'qwen3',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const bias = config.flag('attention_bias', false);
    const sizes = llamaSizes(config, { context: 32768, headWidth: 128, kvHeads: 32 });
    const windows = qwenWindows(config, sizes.layers);
    config.finish(bookkeeping);
    return {
      ...sizes,
      attention: { qkNorm: 'head', ...windows },
      biases: { qkv: bias, out: bias, mlp: false, unembed: false },
    };
  },
  sources: llamaSources,
};
