import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { readRope } from './read-rope.ts';
import { llamaSources } from './stored-llama.ts';

// StableLM 2 and StableLM Epoch: Llama's block with layer norms, part of each head turns. Bellagente et al. 2024.

export const stablelm: Architecture = {
  name: 'stablelm',
  claims: (checkpoint) => modelType(checkpoint) === 'stablelm',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = width / heads;
    const context = config.size('max_position_embeddings', 4096);
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
      positions: readRope(config, { headWidth, context, partial: 0.25 }),
      block: { norms: 'pre', residual: config.flag('use_parallel_residual', false) ? 'shared' : 'sequential' },
      activation: config.oneOf('hidden_act', activations, 'silu'),
      gated: true,
      biases: { qkv: config.flag('use_qkv_bias', false), out: false, mlp: false, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', false),
    };
    config.only('qk_layernorm', [false]);
    config.finish([...bookkeeping, 'hidden_dropout']);
    return spec;
  },
  sources: (checkpoint, spec) =>
    llamaSources(checkpoint, spec, spec.block?.residual === 'shared' ? { norms: { ln1: 'input_layernorm' } } : {}),
};
