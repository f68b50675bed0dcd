import { CircuitscopeError } from '@circuitscope/schema';
import { type Architecture, bookkeeping, ConfigReader, transposed, vector, type WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder.ts';
import { modelType } from './gpt2.ts';

// Llama: RMS norm, rotary positions, grouped key/value heads, gated MLP. Touvron et al. 2023. Two storages: transformers
// (rotary over halves) and llama2.c (rotary over adjacent pairs).

export const llama: Architecture = {
  name: 'llama',
  claims: (checkpoint) => modelType(checkpoint) === 'llama',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const headWidth = config.size('head_dim', width / heads);
    const attentionBias = config.flag('attention_bias', false);
    const layout = config.flag('rope_interleaved', false) ? 'adjacent' : 'half';
    const spec: DecoderSpec = {
      layers: config.size('num_hidden_layers'),
      heads,
      kvHeads: config.size('num_key_value_heads', heads),
      width,
      headWidth,
      inner: config.size('intermediate_size'),
      vocab: config.size('vocab_size'),
      context: config.size('max_position_embeddings', 2048),
      norm: { kind: 'rms', eps: config.number('rms_norm_eps', 1e-6) },
      positions: { kind: 'rotary', base: rotaryBase(config), dims: headWidth, layout },
      activation: config.oneOf(
        'hidden_act',
        { silu: 'silu', swish: 'silu', gelu_pytorch_tanh: 'gelu_tanh', gelu: 'gelu_erf', relu: 'relu' },
        'silu',
      ),
      gated: true,
      biases: { qkv: attentionBias, out: attentionBias, mlp: config.flag('mlp_bias', false), unembed: false },
      scoreScale: () => 1 / Math.sqrt(headWidth),
      tied: config.flag('tie_word_embeddings', false),
    };
    config.finish(bookkeeping);
    return spec;
  },
  sources: (_, spec) => {
    const { width, inner, vocab, headWidth } = spec;
    const sources = new Map<string, WeightSource>();
    sources.set('embed.W_E', {
      ...transposed('model.embed_tokens.weight', vocab, width),
      shape: [vocab, width],
      strides: [width, 1],
    });
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `model.layers.${layer}`;
      const to = `blocks.${layer}`;
      for (const port of ['q', 'k', 'v'] as const) {
        const out = (port === 'q' ? spec.heads : spec.kvHeads) * headWidth;
        sources.set(
          `${to}.attn.W_${port.toUpperCase()}`,
          transposed(`${from}.self_attn.${port}_proj.weight`, out, width),
        );
        if (spec.biases.qkv)
          sources.set(`${to}.attn.b_${port.toUpperCase()}`, vector(`${from}.self_attn.${port}_proj.bias`, out));
      }
      sources.set(`${to}.attn.W_O`, transposed(`${from}.self_attn.o_proj.weight`, width, spec.heads * headWidth));
      if (spec.biases.out) sources.set(`${to}.attn.b_O`, vector(`${from}.self_attn.o_proj.bias`, width));
      sources.set(`${to}.ln1.w`, vector(`${from}.input_layernorm.weight`, width));
      sources.set(`${to}.ln2.w`, vector(`${from}.post_attention_layernorm.weight`, width));
      const parts = [
        ['gate', 'gate_proj', inner, width],
        ['in', 'up_proj', inner, width],
        ['out', 'down_proj', width, inner],
      ] as const;
      for (const [name, stored, out, into] of parts) {
        sources.set(`${to}.mlp.W_${name}`, transposed(`${from}.mlp.${stored}.weight`, out, into));
        if (spec.biases.mlp) sources.set(`${to}.mlp.b_${name}`, vector(`${from}.mlp.${stored}.bias`, out));
      }
    }
    sources.set('ln_final.w', vector('model.norm.weight', width));
    sources.set('unembed.W_U', transposed(spec.tied ? 'model.embed_tokens.weight' : 'lm_head.weight', vocab, width));
    return sources;
  },
};

/** transformers 4 has `rope_theta` and `rope_scaling`, transformers 5 `rope_parameters`; only the plain rotary is here. */
function rotaryBase(config: ConfigReader): number {
  let base = config.number('rope_theta', 10000);
  for (const key of ['rope_scaling', 'rope_parameters']) {
    const part = config.part(key);
    if (!part) continue;
    const kind = part.value('rope_type') ?? part.value('type') ?? 'default';
    if (kind !== 'default') {
      throw new CircuitscopeError(
        'unsupported_config',
        `This Llama scales its rotary positions by ${JSON.stringify(kind)}, which is not supported yet.`,
        { at: `config.json: ${key}`, expected: 'default', got: String(kind) },
      );
    }
    part.value('type');
    base = part.number('rope_theta', base);
    part.finish([]);
  }
  return base;
}
