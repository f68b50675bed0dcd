import { type Architecture, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { transformerLensSources } from './transformerlens-weights.ts';

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
      layers: config.layers('n_layers'),
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
  sources: transformerLensSources,
};
