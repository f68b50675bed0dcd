import type { Checkpoint } from '../checkpoints/index.ts';
import type { Activation } from './add-mlp.ts';
import { bookkeeping, ConfigReader, modelType, transposed, vector, type WeightSource } from './architecture.ts';
import type { EncoderDecoderSpec } from './encoder-decoder.ts';

// T5 as transformers stores it: RMS norm, relative positions, no factor on scores, no biases. Raffel et al. 2020.

export const t5 = {
  name: 't5',
  claims: (checkpoint: Checkpoint): boolean => modelType(checkpoint) === 't5',
  // Copies of the shared embedding, and a table that early checkpoints carry and no version reads.
  ignorable:
    /^(?:encoder|decoder)\.embed_tokens\.weight$|^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  spec: (checkpoint: Checkpoint): EncoderDecoderSpec => {
    const config = ConfigReader.of(checkpoint);
    const layers = config.layers('num_layers', 6);
    const { activation, gated } = feedForward(config);
    const tied = config.flag('tie_word_embeddings', true);
    const spec: EncoderDecoderSpec = {
      kind: 'encoder_decoder',
      layers,
      decoderLayers: config.layers('num_decoder_layers', layers),
      heads: config.size('num_heads', 8),
      width: config.size('d_model', 512),
      headWidth: config.size('d_kv', 64),
      inner: config.size('d_ff', 2048),
      vocab: config.size('vocab_size', 32128),
      eps: config.number('layer_norm_epsilon', 1e-6),
      activation,
      gated,
      buckets: {
        count: config.size('relative_attention_num_buckets', 32),
        maxDistance: config.size('relative_attention_max_distance', 128),
      },
      // transformers 5 ties all embeddings of a T5 by one setting and says by another whether the logits are of them.
      tied: config.flag('scale_decoder_outputs', tied),
      start: config.number('decoder_start_token_id', 0),
    };
    config.finish([...bookkeeping, 'dropout_rate', 'initializer_factor', 'classifier_dropout', 'n_positions']);
    return spec;
  },
  sources: (_: Checkpoint, spec: EncoderDecoderSpec): ReadonlyMap<string, WeightSource> => {
    const { width, vocab, inner, heads } = spec;
    const sources = new Map<string, WeightSource>();
    const table = (tensor: string, rows: number, columns: number): WeightSource => ({
      tensor,
      stored: [rows, columns],
      offset: 0,
      shape: [rows, columns],
      strides: [columns, 1],
    });
    sources.set('embed.W_E', table('shared.weight', vocab, width));
    sources.set('unembed.W_U', transposed(spec.tied ? 'shared.weight' : 'lm_head.weight', vocab, width));
    for (const stack of ['encoder', 'decoder'] as const) {
      for (let layer = 0; layer < (stack === 'encoder' ? spec.layers : spec.decoderLayers); layer++) {
        const from = `${stack}.block.${layer}.layer`;
        const to = `${stack}.${layer}`;
        const attentions = [
          ['attn', '0.SelfAttention', '0'],
          ...(stack === 'decoder' ? [['cross_attn', '1.EncDecAttention', '1']] : []),
        ];
        const last = attentions.length;
        attentions.forEach(([site, stored, number], at) => {
          for (const port of ['q', 'k', 'v'])
            sources.set(
              `${to}.${site}.W_${port.toUpperCase()}`,
              transposed(`${from}.${stored}.${port}.weight`, heads * spec.headWidth, width),
            );
          sources.set(`${to}.${site}.W_O`, transposed(`${from}.${stored}.o.weight`, width, heads * spec.headWidth));
          sources.set(`${to}.ln${at + 1}.w`, vector(`${from}.${number}.layer_norm.weight`, width));
        });
        const dense = `${from}.${last}.DenseReluDense`;
        const into = spec.gated ? { gate: 'wi_0', in: 'wi_1' } : { in: 'wi' };
        for (const [which, stored] of Object.entries(into))
          sources.set(`${to}.mlp.W_${which}`, transposed(`${dense}.${stored}.weight`, inner, width));
        sources.set(`${to}.mlp.W_out`, transposed(`${dense}.wo.weight`, width, inner));
        sources.set(`${to}.ln${last + 1}.w`, vector(`${from}.${last}.layer_norm.weight`, width));
      }
      sources.set(
        `${stack}.0.attn.rel_pos_bias`,
        table(`${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`, spec.buckets.count, heads),
      );
      sources.set(`${stack}_final_ln.w`, vector(`${stack}.final_layer_norm.weight`, width));
    }
    return sources;
  },
};

const activations = {
  relu: 'relu',
  gelu: 'gelu_erf',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  silu: 'silu',
  swish: 'silu',
} as const;

/** `feed_forward_proj` says both, by its own spelling; newer configs repeat them one by one. */
function feedForward(config: ConfigReader): { readonly activation: Activation; readonly gated: boolean } {
  const plain = { relu: 'relu', gelu: 'gelu', silu: 'silu', gelu_new: 'gelu_new' } as const;
  const spelt = config.oneOf(
    'feed_forward_proj',
    { ...plain, 'gated-relu': 'gated-relu', 'gated-gelu': 'gated-gelu_new', 'gated-silu': 'gated-silu' } as const,
    'relu',
  );
  const gated = spelt.startsWith('gated-');
  return {
    activation: config.oneOf('dense_act_fn', activations, spelt.replace('gated-', '')),
    gated: config.flag('is_gated_act', gated),
  };
}
