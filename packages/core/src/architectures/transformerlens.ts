import type { Checkpoint } from '../checkpoints/index.ts';
import { type Architecture, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';

import {
  hasTransformerLensNames,
  transformerLensBiases,
  transformerLensBuffers,
  transformerLensSources,
} from './transformerlens-weights.ts';

// State dicts of TransformerLens beside a cfg.json (its HookedTransformerConfig as JSON). Settings that stand at "off" are
// read past; one that is on and not computed here is an error by name.

const activations = {
  relu: 'relu',
  gelu: 'gelu_erf',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  silu: 'silu',
  solu: 'solu',
  solu_ln: 'solu',
} as const;

/** Settings that must be off, each with the values that mean so. */
const off: { readonly [setting: string]: readonly unknown[] } = {
  parallel_attn_mlp: [false],
  use_local_attn: [false],
  window_size: [0],
  final_rms: [false],
  post_embedding_ln: [false],
  num_experts: [0],
  experts_per_token: [0],
  use_normalization_before_and_after: [false],
  use_qk_norm: [false],
  attn_scores_soft_cap: [-1, 0],
  output_logits_soft_cap: [-1, 0],
  use_NTK_by_parts_rope: [false],
  relative_attention_num_buckets: [0],
  relative_attention_max_distance: [0],
  tie_word_embeddings: [false, true], // the state dict holds W_U in either case
  attention_dir: ['causal'],
  d_vocab_out: [-1],
};

/** Settings of names, devices, training and hooks. */
const ignorable = [
  ...['model_name', 'original_architecture', 'tokenizer_name', 'seed', 'device', 'n_devices', 'dtype', 'n_params'],
  ...['init_mode', 'init_weights', 'initializer_range', 'weight_init_mode', 'model_type', 'architectures'],
  ...['checkpoint_index', 'checkpoint_label_type', 'checkpoint_value', 'from_checkpoint', 'trust_remote_code'],
  ...['use_attn_result', 'use_attn_in', 'use_split_qkv_input', 'use_hook_mlp_in', 'use_hook_tokens'],
  ...['ungroup_grouped_query_attention', 'default_prepend_bos', 'tokenizer_prepends_bos', 'decoder_start_token_id'],
  ...[
    'load_in_4bit',
    'attn_types',
    'NTK_by_parts_factor',
    'NTK_by_parts_low_freq_factor',
    'NTK_by_parts_high_freq_factor',
  ],
];

export const transformerLens: Architecture = {
  name: 'transformerlens',
  claims: (checkpoint) =>
    hasTransformerLensNames(checkpoint) && modelType(checkpoint) === undefined && isCfg(checkpoint),
  ignorable: transformerLensBuffers,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('d_model');
    const headWidth = config.size('d_head');
    const heads = config.size('n_heads', width / headWidth);
    const vocab = config.size('d_vocab');
    const attentionOnly = config.flag('attn_only', false);
    const inner = attentionOnly ? 0 : config.size('d_mlp', 4 * width);
    if (attentionOnly) config.value('d_mlp');
    const scale = config.number('attn_scale', -1);
    const scaled = config.flag('use_attn_scale', true);
    const byLayer = config.flag('scale_attn_by_inverse_layer_idx', false);
    const eps = config.number('eps', 1e-5);
    const activation = attentionOnly ? 'relu' : config.oneOf('act_fn', activations);
    const mlpNorm = !attentionOnly && config.value('act_fn') === 'solu_ln';
    if (attentionOnly) config.value('act_fn');
    const spec: DecoderSpec = {
      layers: config.layers('n_layers'),
      heads,
      kvHeads: config.size('n_key_value_heads', heads),
      width,
      headWidth,
      inner,
      vocab,
      context: config.size('n_ctx'),
      norm:
        config.value('normalization_type') === undefined
          ? null
          : { kind: config.oneOf('normalization_type', { LN: 'layer', RMS: 'rms' }), eps },
      positions: positionsOf(config, headWidth),
      activation,
      ...(mlpNorm ? { mlpNorm } : {}),
      gated: config.flag('gated_mlp', false),
      biases: transformerLensBiases(checkpoint),
      scoreScale: (layer) => (scaled ? 1 / (scale > 0 ? scale : Math.sqrt(headWidth)) : 1) / (byLayer ? layer + 1 : 1),
      tied: false,
    };
    // Without layer norms elsewhere TransformerLens's inner norm has no gain, which is not computed.
    if (mlpNorm && spec.norm?.kind !== 'layer')
      throw config.wrong('act_fn', 'solu where normalization_type is not LN', 'solu_ln');
    for (const [setting, values] of Object.entries(off))
      config.only(setting, setting === 'd_vocab_out' ? [...values, vocab] : values);
    config.finish(ignorable);
    return spec;
  },
  sources: transformerLensSources,
};

function positionsOf(config: ConfigReader, headWidth: number): DecoderSpec['positions'] {
  const kind = config.oneOf('positional_embedding_type', { standard: 'learned', rotary: 'rotary' }, 'standard');
  const dims = config.size('rotary_dim', headWidth);
  const base = config.number('rotary_base', 10000);
  const layout = config.flag('rotary_adjacent_pairs', false) ? 'adjacent' : 'half';
  return kind === 'learned' ? { kind } : { kind, base, dims, layout };
}

function isCfg({ config }: Checkpoint): boolean {
  return typeof config === 'object' && config !== null && 'd_model' in config && 'n_ctx' in config;
}
