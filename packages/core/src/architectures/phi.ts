import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { readRope } from './read-rope.ts';
import { llamaSources } from './stored-llama.ts';

// Phi 1, 1.5 and 2: attention and MLP side by side behind one norm, part of each head turns, biases everywhere. Li et al. 2023.

export const phi: Architecture = {
  name: 'phi',
  claims: (checkpoint) => modelType(checkpoint) === 'phi',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = width / heads;
    const context = config.size('max_position_embeddings', 2048);
    const spec: DecoderSpec = {
      layers: config.layers('num_hidden_layers'),
      heads,
      kvHeads: config.size('num_key_value_heads', heads),
      width,
      headWidth,
      inner: config.size('intermediate_size'),
      vocab: config.size('vocab_size'),
      context,
      norm: { kind: 'layer', eps: config.number('layer_norm_eps', 1e-5) },
      positions: readRope(config, { headWidth, context, partial: 0.5 }),
      block: { norms: 'pre', residual: 'shared' },
      activation: config.oneOf('hidden_act', activations, 'gelu_new'),
      gated: false,
      biases: { qkv: true, out: true, mlp: true, unembed: true },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', false),
    };
    config.only('qk_layernorm', [false]);
    config.finish([...bookkeeping, 'embd_pdrop', 'resid_pdrop']);
    return spec;
  },
  sources: (checkpoint, spec) =>
    llamaSources(checkpoint, spec, {
      norms: { ln1: 'input_layernorm' },
      finalNorm: 'final_layernorm',
      out: 'dense',
      mlp: { in: 'fc1', out: 'fc2' },
    }),
};
