import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { readRope } from './read-rope.ts';
import { llamaSources } from './stored-llama.ts';

// Llama: RMS norm, rotary positions, grouped key/value heads, gated MLP. Touvron et al. 2023. Two storages: transformers
// (rotary over halves) and llama2.c (rotary over adjacent pairs).

export const llama: Architecture = {
  name: 'llama',
  claims: (checkpoint) => modelType(checkpoint) === 'llama',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const attentionBias = config.flag('attention_bias', false);
    const sizes = llamaSizes(config);
    const layout = config.flag('rope_interleaved', false) ? 'adjacent' : 'half';
    const spec: DecoderSpec = {
      ...sizes,
      positions: sizes.positions.kind === 'rotary' ? { ...sizes.positions, layout } : sizes.positions,
      biases: { qkv: attentionBias, out: attentionBias, mlp: config.flag('mlp_bias', false), unembed: false },
    };
    config.finish(bookkeeping);
    return spec;
  },
  sources: llamaSources,
};

export interface LlamaDefaults {
  readonly context?: number;
  readonly eps?: number;
  readonly base?: number;
  readonly tied?: boolean;
  readonly kvHeads?: number;
  readonly headWidth?: number;
  /** Some layers turn by another base; the family says which. */
  readonly localBase?: number;
  /** The setting that names the activation, and what it is where that is left out. */
  readonly activation?: { readonly key: string; readonly usual: string };
}

/** What configs of Llama's kind share; each family names its other settings itself. */
export function llamaSizes(config: ConfigReader, defaults: LlamaDefaults = {}): DecoderSpec {
  const { context: usualContext = 2048, eps = 1e-6, base = 10000, tied = false, kvHeads } = defaults;
  const { key, usual } = defaults.activation ?? { key: 'hidden_act', usual: 'silu' };
  const width = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  const headWidth = config.size('head_dim', defaults.headWidth ?? width / heads);
  const context = config.size('max_position_embeddings', usualContext);
  const positions = readRope(config, {
    headWidth,
    context,
    base,
    ...(defaults.localBase === undefined ? {} : { localBase: defaults.localBase }),
  });
  return {
    layers: config.layers('num_hidden_layers'),
    heads,
    kvHeads: config.size('num_key_value_heads', kvHeads ?? heads),
    width,
    headWidth,
    inner: config.size('intermediate_size'),
    vocab: config.size('vocab_size'),
    // A base that grows with the text serves texts that much longer.
    context: positions.scaling?.kind === 'dynamic' ? Math.floor(context * positions.scaling.factor) : context,
    norm: { kind: 'rms', eps: config.number('rms_norm_eps', eps) },
    positions,
    activation: config.oneOf(key, activations, usual),
    gated: true,
    biases: { qkv: false, out: false, mlp: false, unembed: false },
    scoreScale: () => 1 / Math.sqrt(headWidth),
    tied: config.flag('tie_word_embeddings', tied),
  };
}
