import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { readRope } from './read-rope.ts';
import { WeightMap } from './weight-map.ts';

// Falcon: attention and MLP side by side behind one norm (7B) or one each (40B and later); q, k and v of a key/value group
// lie together in one matrix, its queries first. Almazrouei et al. 2023.

export const falcon: Architecture = {
  name: 'falcon',
  claims: (checkpoint) => modelType(checkpoint) === 'falcon',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = width / heads;
    const context = config.size('max_position_embeddings', 2048);
    const grouped = config.flag('new_decoder_architecture', false);
    const multiQuery = config.flag('multi_query', true);
    const parallel = config.flag('parallel_attn', true) || grouped;
    const bias = config.flag('bias', false);
    const norms = config.size('num_ln_in_parallel_attn', grouped ? 2 : 1);
    const kvHeads = config.size('num_kv_heads', heads);
    config.only('alibi', [false]);
    config.only('apply_residual_connection_post_layernorm', [false]);
    const spec: DecoderSpec = {
      layers: config.layers('num_hidden_layers'),
      heads,
      kvHeads: grouped ? kvHeads : multiQuery ? 1 : heads,
      width,
      headWidth,
      inner: config.size('ffn_hidden_size', 4 * width),
      vocab: config.size('vocab_size'),
      context,
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      positions: readRope(config, { headWidth, context }),
      block: {
        norms: 'pre',
        residual: !parallel ? 'sequential' : grouped && norms === 2 ? 'parallel' : 'shared',
      },
      activation: config.oneOf('activation', activations, 'gelu'),
      gated: false,
      biases: { qkv: bias, out: bias, mlp: bias, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', true),
    };
    config.finish([...bookkeeping, 'hidden_dropout']);
    return spec;
  },
  sources: (checkpoint, spec) => {
    const root = checkpoint.tensors.has('word_embeddings.weight') ? '' : 'transformer.';
    const { width, inner, vocab, heads, kvHeads, headWidth, biases } = spec;
    const residual = spec.block?.residual;
    const norms =
      residual === 'parallel'
        ? { ln1: 'ln_attn', ln2: 'ln_mlp' }
        : residual === 'shared'
          ? { ln1: 'input_layernorm' }
          : { ln1: 'input_layernorm', ln2: 'post_attention_layernorm' };
    const perGroup = heads / kvHeads;
    const group = { count: kvHeads, stride: (perGroup + 2) * headWidth };
    const map = new WeightMap();
    map.table('embed.W_E', `${root}word_embeddings.weight`, vocab, width);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}h.${layer}`;
      const at = `blocks.${layer}`;
      for (const [norm, module] of Object.entries(norms)) map.norm(`${at}.${norm}`, `${from}.${module}`, width);
      const parts = [
        { part: 'Q', first: 0, heads: perGroup },
        { part: 'K', first: perGroup, heads: 1 },
        { part: 'V', first: perGroup + 1, heads: 1 },
      ];
      for (const { part, first, heads: wide } of parts) {
        map.linear(`${at}.attn`, part, {
          from: `${from}.self_attention.query_key_value`,
          out: (heads + 2 * kvHeads) * headWidth,
          into: width,
          bias: biases.qkv,
          rows: { ...group, first: first * headWidth, width: wide * headWidth },
        });
      }
      const linear = { bias: biases.mlp };
      map.linear(`${at}.attn`, 'O', {
        from: `${from}.self_attention.dense`,
        out: width,
        into: width,
        bias: biases.out,
      });
      map.linear(`${at}.mlp`, 'in', { ...linear, from: `${from}.mlp.dense_h_to_4h`, out: inner, into: width });
      map.linear(`${at}.mlp`, 'out', { ...linear, from: `${from}.mlp.dense_4h_to_h`, out: width, into: inner });
    }
    map.norm('ln_final', `${root}ln_f`, width);
    map.unembedding(spec.tied ? `${root}word_embeddings.weight` : 'lm_head.weight', vocab, width);
    return map.sources;
  },
};
