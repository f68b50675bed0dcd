import { type Architecture, activations, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { WeightMap } from './weight-map.ts';

// GPT-Neo: GPT-2 with scores that nothing divides, a window in some layers, and no biases on q, k and v. Black et al. 2021.

export const gptNeo: Architecture = {
  name: 'gpt_neo',
  claims: (checkpoint) => modelType(checkpoint) === 'gpt_neo',
  ignorable: /\.attn\.attention\.(masked_)?bias$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size');
    const heads = config.size('num_heads');
    const layers = config.layers('num_layers');
    const kinds = layerKinds(config, layers);
    const window = config.size('window_size', 256);
    const spec: DecoderSpec = {
      layers,
      heads,
      kvHeads: heads,
      width,
      headWidth: width / heads,
      inner: config.size('intermediate_size', 4 * width),
      vocab: config.size('vocab_size'),
      context: config.size('max_position_embeddings', 2048),
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      positions: { kind: 'learned' },
      attention: { windows: kinds.map((kind) => (kind === 'local' ? window : null)) },
      activation: config.oneOf('activation_function', activations, 'gelu_new'),
      gated: false,
      biases: { qkv: false, out: true, mlp: true, unembed: false },
      scoreScale: () => 1,
      tied: config.flag('tie_word_embeddings', true),
    };
    config.finish([
      ...bookkeeping,
      'embed_dropout',
      'resid_dropout',
      'classifier_dropout',
      'gradient_checkpointing',
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
    map.table('pos_embed.W_pos', `${root}wpe.weight`, spec.context, width);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `${root}h.${layer}`;
      const at = `blocks.${layer}`;
      const attention = `${from}.attn.attention`;
      map.norm(`${at}.ln1`, `${from}.ln_1`, width);
      map.norm(`${at}.ln2`, `${from}.ln_2`, width);
      for (const part of ['Q', 'K', 'V'])
        map.linear(`${at}.attn`, part, { from: `${attention}.${part.toLowerCase()}_proj`, out: width, into: width });
      map.linear(`${at}.attn`, 'O', { from: `${attention}.out_proj`, out: width, into: width, bias: true });
      map.linear(`${at}.mlp`, 'in', { from: `${from}.mlp.c_fc`, out: inner, into: width, bias: true });
      map.linear(`${at}.mlp`, 'out', { from: `${from}.mlp.c_proj`, out: width, into: inner, bias: true });
    }
    map.norm('ln_final', `${root}ln_f`, width);
    map.unembedding(spec.tied ? `${root}wte.weight` : 'lm_head.weight', vocab, width);
    return map.sources;
  },
};

/** `attention_layers` lists them; `attention_types` is [[kinds, how often], …], of which the list is made. */
function layerKinds(config: ConfigReader, layers: number): readonly ('global' | 'local')[] {
  const types = config.value('attention_types') ?? [[['global', 'local'], Math.ceil(layers / 2)]];
  const given = config.value('attention_layers') ?? expanded(types)?.slice(0, layers);
  const kinds = Array.isArray(given) ? given.filter((kind) => kind === 'global' || kind === 'local') : [];
  if (kinds.length === layers && Array.isArray(given) && given.length === layers) return kinds;
  throw config.wrong('attention_layers', `${layers} of global, local`, given);
}

function expanded(types: unknown): unknown[] | undefined {
  if (!Array.isArray(types)) return undefined;
  return types.flatMap((entry: unknown) => {
    const [kinds, times] = Array.isArray(entry) ? entry : [];
    if (!Array.isArray(kinds) || typeof times !== 'number' || !(times >= 0 && times <= 4096)) return [undefined];
    return Array.from({ length: times }, () => kinds).flat();
  });
}
