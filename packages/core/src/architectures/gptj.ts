import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { WeightMap } from './weight-map.ts';

// GPT-J: attention and MLP side by side behind one norm, adjacent pairs of part of each head turn, a bias on the logits.
// Wang and Komatsuzaki 2021.

export const gptj: Architecture = {
  name: 'gptj',
  claims: (checkpoint) => modelType(checkpoint) === 'gptj',
  ignorable: /\.attn\.(masked_bias|bias|embed_positions)$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('n_embd');
    const heads = config.size('n_head');
    const headWidth = width / heads;
    const spec: DecoderSpec = {
      layers: config.layers('n_layer'),
      heads,
      kvHeads: heads,
      width,
      headWidth,
      inner: config.size('n_inner', 4 * width),
      vocab: config.size('vocab_size'),
      context: config.size('n_positions', 2048),
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      positions: { kind: 'rotary', base: 10000, dims: config.size('rotary_dim', 64), layout: 'adjacent' },
      block: { norms: 'pre', residual: 'shared' },
      activation: config.oneOf('activation_function', activations, 'gelu_new'),
      gated: false,
      biases: { qkv: false, out: false, mlp: true, unembed: true },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', false),
    };
    config.only('rotary', [true]);
    config.only('scale_attn_weights', [true]);
    config.finish([
      ...bookkeeping,
      'attn_pdrop',
      'embd_pdrop',
      'resid_pdrop',
      'n_ctx',
      'summary_activation',
      'summary_first_dropout',
      'summary_proj_to_labels',
      'summary_type',
      'summary_use_proj',
      'tokenizer_class',
    ]);
    return spec;
  },
  sources: (checkpoint, spec) => {
    const root = checkpoint.tensors.has('wte.weight') ? '' : 'transformer.';
    const { width, inner, vocab } = spec;
    const map = new WeightMap();
    map.table('embed.W_E', `${root}wte.weight`, vocab, width);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}h.${layer}`;
      const at = `blocks.${layer}`;
      map.norm(`${at}.ln1`, `${from}.ln_1`, width);
      for (const part of ['Q', 'K', 'V'])
        map.linear(`${at}.attn`, part, { from: `${from}.attn.${part.toLowerCase()}_proj`, out: width, into: width });
      map.linear(`${at}.attn`, 'O', { from: `${from}.attn.out_proj`, out: width, into: width });
      map.linear(`${at}.mlp`, 'in', { from: `${from}.mlp.fc_in`, out: inner, into: width, bias: true });
      map.linear(`${at}.mlp`, 'out', { from: `${from}.mlp.fc_out`, out: width, into: inner, bias: true });
    }
    map.norm('ln_final', `${root}ln_f`, width);
    map.unembedding(spec.tied ? `${root}wte.weight` : 'lm_head.weight', vocab, width);
    map.vector('unembed.b_U', 'lm_head.bias', vocab);
    return map.sources;
  },
};
