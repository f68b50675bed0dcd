import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { llamaSources } from './stored-llama.ts';

// OLMo 2: no norm before a branch but one behind its output, and an RMS norm over all queries and all keys together. What a
// head writes passes through that norm, so the stream is no sum of heads. OLMo team 2025.

export const olmo2: Architecture = {
  name: 'olmo2',
  claims: (checkpoint) => modelType(checkpoint) === 'olmo2',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const bias = config.flag('attention_bias', false);
    const sizes = llamaSizes(config, { eps: 1e-5 });
    config.finish(bookkeeping);
    return {
      ...sizes,
      block: { norms: 'post', residual: 'sequential' },
      attention: { qkNorm: 'whole' },
      biases: { qkv: bias, out: bias, mlp: false, unembed: false },
    };
  },
  sources: (checkpoint, spec) =>
    llamaSources(checkpoint, spec, {
      norms: { ln1_post: 'post_attention_layernorm', ln2_post: 'post_feedforward_layernorm' },
    }),
};
