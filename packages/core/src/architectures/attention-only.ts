import { type Architecture, ConfigReader, plain, vector, type WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder.ts';
import { modelType } from './gpt2.ts';

// Toy transformers under TransformerLens's names and shapes: W_Q [heads, model, d_head]. Attention alone (Elhage et al.
// 2021), or with an MLP in each block where the config gives `d_mlp`.

const activations = { relu: 'relu', gelu: 'gelu_erf', gelu_new: 'gelu_tanh', silu: 'silu' } as const;

export const attentionOnly: Architecture = {
  name: 'attention_only',
  claims: (checkpoint) => modelType(checkpoint) === 'attention_only',
  ignorable: /(^|\.)attn\.(mask|IGNORE)$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const headWidth = config.size('d_head');
    const heads = config.size('n_heads');
    config.only('positional_embedding_type', ['standard']);
    const inner = config.value('d_mlp') === undefined ? 0 : config.size('d_mlp');
    const activation = inner > 0 ? config.oneOf('act_fn', activations) : 'relu';
    const gated = inner > 0 && config.flag('gated_mlp', false);
    const spec: DecoderSpec = {
      layers: config.size('n_layers'),
      heads,
      kvHeads: heads,
      width: config.size('d_model'),
      headWidth,
      inner,
      vocab: config.size('d_vocab'),
      context: config.size('n_ctx'),
      norm:
        config.value('normalization_type') === undefined
          ? null
          : { kind: config.oneOf('normalization_type', { LN: 'layer', RMS: 'rms' }), eps: config.number('eps', 1e-5) },
      positions: { kind: 'learned' },
      activation,
      gated,
      biases: {
        qkv: checkpoint.tensors.has('blocks.0.attn.b_Q'),
        out: checkpoint.tensors.has('blocks.0.attn.b_O'),
        mlp: inner > 0 && checkpoint.tensors.has('blocks.0.mlp.b_in'),
        unembed: checkpoint.tensors.has('unembed.b_U'),
      },
      scoreScale: config.flag('use_attn_scale', true) ? () => 1 / Math.sqrt(headWidth) : () => 1,
      tied: false,
    };
    config.finish(['model_type', 'architectures', 'bos_token_id', 'seed', 'dtype', 'name', 'description']);
    return spec;
  },
  sources: (_, spec) => {
    const { width, vocab, heads, headWidth, inner } = spec;
    const sources = new Map<string, WeightSource>();
    const put = (name: string, source: WeightSource): void => {
      sources.set(name, source);
    };
    const norm = (at: string): void => {
      for (const part of spec.norm ? ['w', ...(spec.norm.kind === 'layer' ? ['b'] : [])] : [])
        put(`${at}.${part}`, vector(`${at}.${part}`, width));
    };
    put('embed.W_E', plain('embed.W_E', vocab, width));
    put('pos_embed.W_pos', plain('pos_embed.W_pos', spec.context, width));
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `blocks.${layer}.attn`;
      for (const port of ['Q', 'K', 'V']) {
        put(`${at}.W_${port}`, {
          tensor: `${at}.W_${port}`,
          stored: [heads, width, headWidth],
          offset: 0,
          shape: [width, heads * headWidth],
          strides: [headWidth, 1],
          headStride: { count: heads, stride: width * headWidth },
        });
        if (spec.biases.qkv)
          put(`${at}.b_${port}`, { ...vector(`${at}.b_${port}`, heads * headWidth), stored: [heads, headWidth] });
      }
      put(`${at}.W_O`, { ...plain(`${at}.W_O`, heads * headWidth, width), stored: [heads, headWidth, width] });
      if (spec.biases.out) put(`${at}.b_O`, vector(`${at}.b_O`, width));
      norm(`blocks.${layer}.ln1`);
      if (inner === 0) continue;
      const mlp = `blocks.${layer}.mlp`;
      for (const part of spec.gated ? ['gate', 'in'] : ['in']) {
        put(`${mlp}.W_${part}`, plain(`${mlp}.W_${part}`, width, inner));
        if (spec.biases.mlp) put(`${mlp}.b_${part}`, vector(`${mlp}.b_${part}`, inner));
      }
      put(`${mlp}.W_out`, plain(`${mlp}.W_out`, inner, width));
      if (spec.biases.mlp) put(`${mlp}.b_out`, vector(`${mlp}.b_out`, width));
      norm(`blocks.${layer}.ln2`);
    }
    norm('ln_final');
    put('unembed.W_U', plain('unembed.W_U', width, vocab));
    if (spec.biases.unembed) put('unembed.b_U', vector('unembed.b_U', vocab));
    return sources;
  },
};
