import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { gemmaSizes } from './gemma.ts';
import { windowsByLayer } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Gemma 2: Gemma with norms before and behind each branch, a scale of its own for queries, caps on scores and logits, and
// windows in every other layer, the first included. Gemma team 2024.

export const gemma2: Architecture = {
  name: 'gemma2',
  claims: (checkpoint) => modelType(checkpoint) === 'gemma2',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = gemmaSizes(config);
    const caps = softCaps(config, { scores: 50, logits: 30 });
    const { windows } = windowsByLayer(
      config,
      sizes.layers,
      config.size('sliding_window', 4096),
      (layer) => layer % 2 === 0,
    );
    const scale = 1 / Math.sqrt(config.number('query_pre_attn_scalar', 256));
    config.finish([...bookkeeping, 'cache_implementation']);
    return {
      ...sizes,
      block: { norms: 'both', residual: 'sequential' },
      attention: { windows, ...(caps.scores === null ? {} : { softCap: caps.scores }) },
      scoreScale: () => scale,
      ...(caps.logits === null ? {} : { logitSoftCap: caps.logits }),
    };
  },
  sources: (checkpoint, spec) => llamaSources(checkpoint, spec, gemma2Names),
};

export const gemma2Names = {
  gainOffset: 1,
  norms: {
    ln1: 'input_layernorm',
    ln1_post: 'post_attention_layernorm',
    ln2: 'pre_feedforward_layernorm',
    ln2_post: 'post_feedforward_layernorm',
  },
} as const;

/** A cap that is written as null is none. */
export function softCaps(
  config: ConfigReader,
  usual: { readonly scores: number | null; readonly logits: number | null },
): { readonly scores: number | null; readonly logits: number | null } {
  const cap = (key: string, otherwise: number | null): number | null => {
    if (!config.has(key)) return otherwise;
    if (config.value(key) === undefined) return null;
    const value = config.number(key);
    if (value > 0) return value;
    throw config.wrong(key, 'a number above 0, or null', value);
  };
  return { scores: cap('attn_logit_softcapping', usual.scores), logits: cap('final_logit_softcapping', usual.logits) };
}
