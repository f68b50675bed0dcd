import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { slidingWindow } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Mistral: Llama whose queries read the last `sliding_window` keys. Jiang et al. 2023.

export const mistral: Architecture = {
  name: 'mistral',
  claims: (checkpoint) => modelType(checkpoint) === 'mistral',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = llamaSizes(config, { context: 131072, kvHeads: 8 });
    const attention = slidingWindow(config, sizes.layers, 4096);
    config.finish(bookkeeping);
    return { ...sizes, attention };
  },
  sources: llamaSources,
};
