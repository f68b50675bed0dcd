import { type Architecture, ConfigReader, transposed, vector, type WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';

// Karpathy's llama2.c binaries: the same arithmetic as Llama, with rotary over adjacent pairs and a fixed eps of 1e-5.

export const llama2c: Architecture = {
  name: 'llama2c',
  claims: (checkpoint) => checkpoint.kind === 'llama2c',
  ignorable: /^freq_cis_(real|imag)$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('dim');
    const heads = config.size('n_heads');
    const headWidth = width / heads;
    const spec: DecoderSpec = {
      layers: config.layers('n_layers'),
      heads,
      kvHeads: config.size('n_kv_heads'),
      width,
      headWidth,
      inner: config.size('hidden_dim'),
      vocab: config.size('vocab_size'),
      context: config.size('seq_len'),
      norm: { kind: 'rms', eps: 1e-5 },
      positions: { kind: 'rotary', base: 10000, dims: headWidth, layout: 'adjacent' },
      activation: 'silu',
      gated: true,
      biases: { qkv: false, out: false, mlp: false, unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: !checkpoint.tensors.has('wcls'),
    };
    config.finish(['tied', 'shared_classifier', 'model_type']);
    return spec;
  },
  sources: (_, spec) => {
    const { width, inner, vocab, headWidth } = spec;
    const sources = new Map<string, WeightSource>();
    sources.set('embed.W_E', {
      ...transposed('token_embedding_table', vocab, width),
      shape: [vocab, width],
      strides: [width, 1],
    });
    for (let layer = 0; layer < spec.layers; layer++) {
      const to = `blocks.${layer}`;
      for (const port of ['q', 'k', 'v'] as const) {
        const out = (port === 'q' ? spec.heads : spec.kvHeads) * headWidth;
        sources.set(`${to}.attn.W_${port.toUpperCase()}`, transposed(`w${port}.${layer}`, out, width));
      }
      sources.set(`${to}.attn.W_O`, transposed(`wo.${layer}`, width, spec.heads * headWidth));
      sources.set(`${to}.ln1.w`, vector(`rms_att_weight.${layer}`, width));
      sources.set(`${to}.ln2.w`, vector(`rms_ffn_weight.${layer}`, width));
      sources.set(`${to}.mlp.W_gate`, transposed(`w1.${layer}`, inner, width));
      sources.set(`${to}.mlp.W_out`, transposed(`w2.${layer}`, width, inner));
      sources.set(`${to}.mlp.W_in`, transposed(`w3.${layer}`, inner, width));
    }
    sources.set('ln_final.w', vector('rms_final_weight', width));
    sources.set('unembed.W_U', transposed(spec.tied ? 'token_embedding_table' : 'wcls', vocab, width));
    return sources;
  },
};

/** transformers' name of a tensor of llama2.c; undefined for the rotary tables, which nothing reads. */
export function huggingFaceNameOfLlama2c(name: string): string | undefined {
  const [, stem = '', layer] = /^(\w+?)(?:\.(\d+))?$/.exec(name) ?? [];
  const found = new Map(huggingFaceNames).get(stem);
  return found?.replace('{}', layer ?? '');
}

const huggingFaceNames: readonly (readonly [string, string])[] = [
  ['token_embedding_table', 'model.embed_tokens.weight'],
  ['rms_att_weight', 'model.layers.{}.input_layernorm.weight'],
  ['wq', 'model.layers.{}.self_attn.q_proj.weight'],
  ['wk', 'model.layers.{}.self_attn.k_proj.weight'],
  ['wv', 'model.layers.{}.self_attn.v_proj.weight'],
  ['wo', 'model.layers.{}.self_attn.o_proj.weight'],
  ['rms_ffn_weight', 'model.layers.{}.post_attention_layernorm.weight'],
  ['w1', 'model.layers.{}.mlp.gate_proj.weight'],
  ['w2', 'model.layers.{}.mlp.down_proj.weight'],
  ['w3', 'model.layers.{}.mlp.up_proj.weight'],
  ['rms_final_weight', 'model.norm.weight'],
  ['wcls', 'lm_head.weight'],
];
