import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { WeightMap } from './weight-map.ts';

// OPT: learned positions whose table has two rows in front that no position reads, ReLU, biases everywhere. Zhang et al. 2022.

/** Rows of the position table before that of position 0. */
const firstRow = 2;

export const opt: Architecture = {
  name: 'opt',
  claims: (checkpoint) => modelType(checkpoint) === 'opt',
  ignorable: /^$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = width / heads;
    const bias = config.flag('enable_bias', true);
    const spec: DecoderSpec = {
      layers: config.layers('num_hidden_layers'),
      heads,
      kvHeads: heads,
      width,
      headWidth,
      inner: config.size('ffn_dim'),
      vocab: config.size('vocab_size'),
      context: config.size('max_position_embeddings', 2048),
      norm: { kind: 'layer', eps: 1e-5 },
      positions: { kind: 'learned' },
      activation: config.oneOf('activation_function', activations, 'relu'),
      gated: false,
      biases: { qkv: bias, out: bias, mlp: bias, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', true),
    };
    // One size of the family norms behind its branches and embeds in fewer dimensions than its stream has.
    config.only('do_layer_norm_before', [true]);
    config.only('word_embed_proj_dim', [width]);
    config.only('_remove_final_layer_norm', [false]);
    config.only('layer_norm_elementwise_affine', [true]);
    config.finish([...bookkeeping, 'dropout', 'layerdrop', 'init_std', 'activation_dropout', 'prefix']);
    return spec;
  },
  sources: (checkpoint, spec) => {
    const root = checkpoint.tensors.has('decoder.embed_tokens.weight') ? 'decoder' : 'model.decoder';
    const { width, inner, vocab, biases } = spec;
    const map = new WeightMap();
    map.table('embed.W_E', `${root}.embed_tokens.weight`, vocab, width);
    map.table('pos_embed.W_pos', `${root}.embed_positions.weight`, spec.context, width, firstRow);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}.layers.${layer}`;
      const at = `blocks.${layer}`;
      map.norm(`${at}.ln1`, `${from}.self_attn_layer_norm`, width);
      map.norm(`${at}.ln2`, `${from}.final_layer_norm`, width);
      for (const part of ['Q', 'K', 'V'])
        map.linear(`${at}.attn`, part, {
          from: `${from}.self_attn.${part.toLowerCase()}_proj`,
          out: width,
          into: width,
          bias: biases.qkv,
        });
      map.linear(`${at}.attn`, 'O', { from: `${from}.self_attn.out_proj`, out: width, into: width, bias: biases.out });
      map.linear(`${at}.mlp`, 'in', { from: `${from}.fc1`, out: inner, into: width, bias: biases.mlp });
      map.linear(`${at}.mlp`, 'out', { from: `${from}.fc2`, out: width, into: inner, bias: biases.mlp });
    }
    map.norm('ln_final', `${root}.final_layer_norm`, width);
    map.unembedding(spec.tied ? `${root}.embed_tokens.weight` : 'lm_head.weight', vocab, width);
    return map.sources;
  },
};
