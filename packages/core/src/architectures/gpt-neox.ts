import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { readRope } from './read-rope.ts';
import { WeightMap } from './weight-map.ts';

// GPT-NeoX and Pythia: attention and MLP side by side, each behind a norm of its own; part of each head turns; q, k and v of
// a head lie together in one matrix. Black et al. 2022, Biderman et al. 2023.

export const gptNeox: Architecture = {
  name: 'gpt_neox',
  claims: (checkpoint) => modelType(checkpoint) === 'gpt_neox',
  ignorable: /\.attention\.(masked_)?bias$|\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = width / heads;
    const context = config.size('max_position_embeddings', 2048);
    const bias = config.flag('attention_bias', true);
    const spec: DecoderSpec = {
      layers: config.layers('num_hidden_layers'),
      heads,
      kvHeads: heads,
      width,
      headWidth,
      inner: config.size('intermediate_size'),
      vocab: config.size('vocab_size'),
      context,
      norm: { kind: 'layer', eps: config.number('layer_norm_eps', 1e-5) },
      positions: readRope(config, {
        headWidth,
        context,
        partial: 0.25,
        baseKey: 'rotary_emb_base',
        partialKey: 'rotary_pct',
      }),
      block: { norms: 'pre', residual: config.flag('use_parallel_residual', true) ? 'parallel' : 'sequential' },
      activation: config.oneOf('hidden_act', activations, 'gelu'),
      gated: false,
      biases: { qkv: bias, out: bias, mlp: true, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', false),
    };
    config.finish([...bookkeeping, 'hidden_dropout', 'classifier_dropout']);
    return spec;
  },
  sources: (checkpoint, spec) => {
    const root = checkpoint.tensors.has('embed_in.weight') ? '' : 'gpt_neox.';
    const { width, inner, vocab, heads, headWidth, biases } = spec;
    const map = new WeightMap();
    map.table('embed.W_E', `${root}embed_in.weight`, vocab, width);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}layers.${layer}`;
      const at = `blocks.${layer}`;
      map.norm(`${at}.ln1`, `${from}.input_layernorm`, width);
      map.norm(`${at}.ln2`, `${from}.post_attention_layernorm`, width);
      ['Q', 'K', 'V'].forEach((part, third) => {
        map.linear(`${at}.attn`, part, {
          from: `${from}.attention.query_key_value`,
          out: 3 * width,
          into: width,
          bias: biases.qkv,
          rows: { first: third * headWidth, width: headWidth, count: heads, stride: 3 * headWidth },
        });
      });
      map.linear(`${at}.attn`, 'O', { from: `${from}.attention.dense`, out: width, into: width, bias: biases.out });
      map.linear(`${at}.mlp`, 'in', { from: `${from}.mlp.dense_h_to_4h`, out: inner, into: width, bias: true });
      map.linear(`${at}.mlp`, 'out', { from: `${from}.mlp.dense_4h_to_h`, out: width, into: inner, bias: true });
    }
    map.norm('ln_final', `${root}final_layer_norm`, width);
    map.unembedding(spec.tied ? `${root}embed_in.weight` : 'embed_out.weight', vocab, width);
    return map.sources;
  },
};
