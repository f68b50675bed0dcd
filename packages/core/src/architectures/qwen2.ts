import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { qwenWindows } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Qwen 2 and 2.5: Llama with biases on q, k and v alone; later layers may have a window. Yang et al. 2024.

export const qwen2: Architecture = {
  name: 'qwen2',
  claims: (checkpoint) => modelType(checkpoint) === 'qwen2',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = llamaSizes(config, { context: 32768, kvHeads: 32 });
    const attention = qwenWindows(config, sizes.layers);
    config.finish(bookkeeping);
    return { ...sizes, attention, biases: { qkv: true, out: false, mlp: false, unembed: false } };
  },
  sources: llamaSources,
};
