import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { Positions } from './decoder-spec.ts';
import { gemmaSizes } from './gemma.ts';
import { gemma2Names, softCaps } from './gemma2.ts';
import { windowsByLayer } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Gemma 3, its text models: Gemma 2 with norms of queries and keys in place of the caps, and five layers with a window for
// each without one; layers with a window turn by a base of their own. Gemma team 2025.

export const gemma3: Architecture = {
  name: 'gemma3_text',
  claims: (checkpoint) => modelType(checkpoint) === 'gemma3_text',
  ignorable: /\.rotary_emb(_local)?\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = gemmaSizes(config, { context: 131072, base: 1e6, localBase: 10000 });
    const caps = softCaps(config, { scores: null, logits: null });
    const pattern = config.size('sliding_window_pattern', config.size('_sliding_window_pattern', 6));
    const window = config.size('sliding_window', 4096);
    const { windows, sliding } = windowsByLayer(config, sizes.layers, window, (layer) => (layer + 1) % pattern !== 0);
    const scale = 1 / Math.sqrt(config.number('query_pre_attn_scalar', 256));
    config.finish([...bookkeeping, 'cache_implementation']);
    return {
      ...sizes,
      positions: localIn(sizes.positions, sliding),
      block: { norms: 'both', residual: 'sequential' },
      attention: { windows, qkNorm: 'head', ...(caps.scores === null ? {} : { softCap: caps.scores }) },
      scoreScale: () => scale,
      ...(caps.logits === null ? {} : { logitSoftCap: caps.logits }),
    };
  },
  sources: (checkpoint, spec) => llamaSources(checkpoint, spec, gemma2Names),
};

/** The other base where layers have a window. */
function localIn(positions: Positions, layers: readonly boolean[]): Positions {
  if (positions.kind !== 'rotary' || !positions.local) return positions;
  return { ...positions, local: { ...positions.local, layers } };
}
