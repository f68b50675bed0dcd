import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { WeightMap } from './weight-map.ts';

// BLOOM: ALiBi in place of positions, a norm behind the embedding, q, k and v of a head together in one matrix. Le Scao et al.
// 2022; Press et al. 2022.

const MOST_HEADS = 4096;

export const bloom: Architecture = {
  name: 'bloom',
  claims: (checkpoint) => modelType(checkpoint) === 'bloom',
  ignorable: /^$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size(config.has('n_embed') ? 'n_embed' : 'hidden_size');
    const heads = config.size(config.has('n_head') ? 'n_head' : 'num_attention_heads');
    const headWidth = width / heads;
    // There is a slope for each, made before any shape is compared.
    if (heads > MOST_HEADS) throw config.wrong('n_head', `at most ${MOST_HEADS}`, heads);
    const spec: DecoderSpec = {
      layers: config.layers(config.has('n_layer') ? 'n_layer' : 'num_hidden_layers'),
      heads,
      kvHeads: heads,
      width,
      headWidth,
      inner: 4 * width,
      vocab: config.size('vocab_size'),
      // Slopes reach as far as one likes; this is what the models were trained on.
      context: config.size('seq_length', 2048),
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      embedding: { normed: true },
      positions: { kind: 'alibi', slopes: alibiSlopes(heads) },
      block: {
        norms: 'pre',
        residual: 'sequential',
        adds: config.flag('apply_residual_connection_post_layernorm', false) ? 'normed' : 'stream',
      },
      activation: 'gelu_tanh',
      gated: false,
      biases: { qkv: true, out: true, mlp: true, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', true),
    };
    for (const other of ['hidden_size', 'num_attention_heads', 'num_hidden_layers', 'n_inner']) config.value(other);
    // Both only say in which order one machine adds what another adds in one go.
    config.finish([
      ...bookkeeping,
      'slow_but_exact',
      'hidden_dropout',
      'offset_alibi',
      'skip_bias_add',
      'skip_bias_add_qkv',
      'attention_softmax_in_fp32',
      'bias_dropout_fusion',
      'masked_softmax_fusion',
      'unk_token_id',
    ]);
    return spec;
  },
  sources: (checkpoint, spec) => {
    const root = checkpoint.tensors.has('word_embeddings.weight') ? '' : 'transformer.';
    const { width, inner, vocab, heads, headWidth } = spec;
    const map = new WeightMap();
    map.table('embed.W_E', `${root}word_embeddings.weight`, vocab, width);
    map.norm('embed.ln', `${root}word_embeddings_layernorm`, width);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}h.${layer}`;
      const at = `blocks.${layer}`;
      map.norm(`${at}.ln1`, `${from}.input_layernorm`, width);
      map.norm(`${at}.ln2`, `${from}.post_attention_layernorm`, width);
      ['Q', 'K', 'V'].forEach((part, third) => {
        map.linear(`${at}.attn`, part, {
          from: `${from}.self_attention.query_key_value`,
          out: 3 * width,
          into: width,
          bias: true,
          rows: { first: third * headWidth, width: headWidth, count: heads, stride: 3 * headWidth },
        });
      });
      map.linear(`${at}.attn`, 'O', { from: `${from}.self_attention.dense`, out: width, into: width, bias: true });
      map.linear(`${at}.mlp`, 'in', { from: `${from}.mlp.dense_h_to_4h`, out: inner, into: width, bias: true });
      map.linear(`${at}.mlp`, 'out', { from: `${from}.mlp.dense_4h_to_h`, out: width, into: inner, bias: true });
    }
    map.norm('ln_final', `${root}ln_f`, width);
    map.unembedding(spec.tied ? `${root}word_embeddings.weight` : 'lm_head.weight', vocab, width);
    return map.sources;
  },
};

/**
 * 2^(-8/n), 2^(-16/n), … for n heads, a power of two; for other numbers those of the next lower power, then every other one
 * of twice that power (Press et al. 2022).
 */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = Array.from({ length: power }, (_, head) => 2 ** ((-8 / power) * (head + 1)));
  for (let head = 0; head < heads - power; head++) slopes.push(2 ** ((-4 / power) * (2 * head + 1)));
  return slopes;
}
