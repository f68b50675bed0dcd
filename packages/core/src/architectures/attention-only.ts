import { type Architecture, ConfigReader, plain, vector, type WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder.ts';
import { modelType } from './gpt2.ts';

// Attention-only transformers under TransformerLens's names and shapes: W_Q [heads, model, d_head]. Elhage et al. 2021.

export const attentionOnly: Architecture = {
  name: 'attention_only',
  claims: (checkpoint) => modelType(checkpoint) === 'attention_only',
  ignorable: /(^|\.)attn\.(mask|IGNORE)$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const headWidth = config.size('d_head');
    const heads = config.size('n_heads');
    config.only('positional_embedding_type', ['standard']);
    const spec: DecoderSpec = {
      layers: config.size('n_layers'),
      heads,
      kvHeads: heads,
      width: config.size('d_model'),
      headWidth,
      inner: 0,
      vocab: config.size('d_vocab'),
      context: config.size('n_ctx'),
      norm:
        config.value('normalization_type') === undefined
          ? null
          : { kind: config.oneOf('normalization_type', { LN: 'layer', RMS: 'rms' }), eps: config.number('eps', 1e-5) },
      positions: { kind: 'learned' },
      activation: 'relu',
      gated: false,
      biases: {
        qkv: checkpoint.tensors.has('blocks.0.attn.b_Q'),
        out: checkpoint.tensors.has('blocks.0.attn.b_O'),
        mlp: false,
        unembed: checkpoint.tensors.has('unembed.b_U'),
      },
      scoreScale: config.flag('use_attn_scale', true) ? () => 1 / Math.sqrt(headWidth) : () => 1,
      tied: false,
    };
    config.finish(['model_type', 'architectures', 'bos_token_id', 'seed', 'dtype', 'name', 'description']);
    return spec;
  },
  sources: (_, spec) => {
    const { width, vocab, heads, headWidth } = spec;
    const sources = new Map<string, WeightSource>();
    sources.set('embed.W_E', plain('embed.W_E', vocab, width));
    sources.set('pos_embed.W_pos', plain('pos_embed.W_pos', spec.context, width));
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `blocks.${layer}.attn`;
      for (const port of ['Q', 'K', 'V']) {
        sources.set(`${at}.W_${port}`, {
          tensor: `${at}.W_${port}`,
          stored: [heads, width, headWidth],
          offset: 0,
          shape: [width, heads * headWidth],
          strides: [headWidth, 1],
          headStride: { count: heads, stride: width * headWidth },
        });
        if (spec.biases.qkv)
          sources.set(`${at}.b_${port}`, {
            ...vector(`${at}.b_${port}`, heads * headWidth),
            stored: [heads, headWidth],
          });
      }
      sources.set(`${at}.W_O`, { ...plain(`${at}.W_O`, heads * headWidth, width), stored: [heads, headWidth, width] });
      if (spec.biases.out) sources.set(`${at}.b_O`, vector(`${at}.b_O`, width));
      for (const part of spec.norm ? ['w', ...(spec.norm.kind === 'layer' ? ['b'] : [])] : []) {
        sources.set(`blocks.${layer}.ln1.${part}`, vector(`blocks.${layer}.ln1.${part}`, width));
      }
    }
    for (const part of spec.norm ? ['w', ...(spec.norm.kind === 'layer' ? ['b'] : [])] : [])
      sources.set(`ln_final.${part}`, vector(`ln_final.${part}`, width));
    sources.set('unembed.W_U', plain('unembed.W_U', width, vocab));
    if (spec.biases.unembed) sources.set('unembed.b_U', vector('unembed.b_U', vocab));
    return sources;
  },
};
