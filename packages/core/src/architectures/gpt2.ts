import {
  type Architecture,
  activations,
  bookkeeping,
  ConfigReader,
  modelType,
  plain,
  transposed,
  vector,
  type WeightSource,
} from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';

// GPT-2 as transformers stores it: weights [in, out] (Conv1D), q, k and v side by side in c_attn, tied unembedding.
// Radford et al. 2019; `scale_attn_by_inverse_layer_idx` is Stanford CRFM's variant.

export const gpt2: Architecture = {
  name: 'gpt2',
  claims: (checkpoint) => modelType(checkpoint) === 'gpt2',
  ignorable: /(^|\.)attn\.(masked_)?bias$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('n_embd');
    const heads = config.size('n_head');
    const byLayer = config.flag('scale_attn_by_inverse_layer_idx', false);
    const scaled = config.flag('scale_attn_weights', true);
    const headWidth = width / heads;
    const spec: DecoderSpec = {
      layers: config.layers('n_layer'),
      heads,
      kvHeads: heads,
      width,
      headWidth,
      inner: config.size('n_inner', 4 * width),
      vocab: config.size('vocab_size'),
      context: config.size('n_positions', numberOr(config.value('n_ctx'), undefined)),
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      positions: { kind: 'learned' },
      activation: config.oneOf('activation_function', activations, 'gelu_new'),
      gated: false,
      biases: { qkv: true, out: true, mlp: true, unembed: false },
      scoreScale: (layer) => (scaled ? 1 / Math.sqrt(headWidth) : 1) / (byLayer ? layer + 1 : 1),
      tied: config.flag('tie_word_embeddings', true),
    };
    config.only('add_cross_attention', [false]);
    config.finish([
      ...bookkeeping,
      'attn_pdrop',
      'embd_pdrop',
      'resid_pdrop',
      'reorder_and_upcast_attn',
      'summary_activation',
      'summary_first_dropout',
      'summary_proj_to_labels',
      'summary_type',
      'summary_use_proj',
    ]);
    return spec;
  },
  sources: (checkpoint, spec) => {
    // Checkpoints saved from the bare model lack the prefix.
    const root = checkpoint.tensors.has('transformer.wte.weight') ? 'transformer.' : '';
    const { width, inner, vocab } = spec;
    const sources = new Map<string, WeightSource>();
    sources.set('embed.W_E', plain(`${root}wte.weight`, vocab, width));
    sources.set('pos_embed.W_pos', plain(`${root}wpe.weight`, spec.context, width));
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}h.${layer}`;
      const to = `blocks.${layer}`;
      ['Q', 'K', 'V'].forEach((port, third) => {
        sources.set(
          `${to}.attn.W_${port}`,
          plain(`${from}.attn.c_attn.weight`, width, 3 * width, third * width, width),
        );
        sources.set(`${to}.attn.b_${port}`, vector(`${from}.attn.c_attn.bias`, 3 * width, third * width, width));
      });
      sources.set(`${to}.attn.W_O`, plain(`${from}.attn.c_proj.weight`, width, width));
      sources.set(`${to}.attn.b_O`, vector(`${from}.attn.c_proj.bias`, width));
      for (const norm of [1, 2]) {
        sources.set(`${to}.ln${norm}.w`, vector(`${from}.ln_${norm}.weight`, width));
        sources.set(`${to}.ln${norm}.b`, vector(`${from}.ln_${norm}.bias`, width));
      }
      sources.set(`${to}.mlp.W_in`, plain(`${from}.mlp.c_fc.weight`, width, inner));
      sources.set(`${to}.mlp.b_in`, vector(`${from}.mlp.c_fc.bias`, inner));
      sources.set(`${to}.mlp.W_out`, plain(`${from}.mlp.c_proj.weight`, inner, width));
      sources.set(`${to}.mlp.b_out`, vector(`${from}.mlp.c_proj.bias`, width));
    }
    sources.set('ln_final.w', vector(`${root}ln_f.weight`, width));
    sources.set('ln_final.b', vector(`${root}ln_f.bias`, width));
    sources.set('unembed.W_U', transposed(spec.tied ? `${root}wte.weight` : 'lm_head.weight', vocab, width));
    return sources;
  },
};

function numberOr(value: unknown, fallback: number | undefined): number | undefined {
  return typeof value === 'number' ? value : fallback;
}
