import { type Graph, GraphBuilder, type Place } from '../graph/index.ts';
import { addAttention } from './add-attention.ts';
import { type Activation, addMlp } from './add-mlp.ts';
import { addNorm } from './add-norm.ts';

// An encoder that reads a text both ways, and a causal decoder that reads its own text and, by a second attention, what
// the encoder gives. T5: Raffel et al. 2020. Positions are told by distance alone, through a bias on the scores.

export interface EncoderDecoderSpec {
  readonly kind: 'encoder_decoder';
  /** Blocks of the encoder. */
  readonly layers: number;
  readonly decoderLayers: number;
  readonly heads: number;
  readonly width: number;
  readonly headWidth: number;
  readonly inner: number;
  readonly vocab: number;
  readonly eps: number;
  readonly activation: Activation;
  readonly gated: boolean;
  /** How distances fall into buckets; the encoder uses half of them for each direction, the decoder all for the past. */
  readonly buckets: { readonly count: number; readonly maxDistance: number };
  /** The unembedding is the transposed embedding, and what it reads is divided by √width. */
  readonly tied: boolean;
  /** The token that a text of the decoder begins with. */
  readonly start: number;
}

/** Inputs: `tokens`, `mask` [batch, source] of the encoder; `decoder_tokens`, `decoder_mask` [batch, pos]. */
export function buildEncoderDecoder(spec: EncoderDecoderSpec): Graph {
  const builder = new GraphBuilder();
  const { width, vocab } = spec;
  const source = { shape: ['batch', 'source'] };
  const [tokens, mask] = [builder.input('tokens', source), builder.input('mask', source)];
  const [text, textMask] = [builder.input('decoder_tokens'), builder.input('decoder_mask')];
  const unembed = builder.param('unembed.W_U', [width, vocab]);
  const embedding = spec.tied
    ? { params: [unembed], attrs: { width, transposed: true } }
    : { params: [builder.param('embed.W_E', [vocab, width])], attrs: { width } };
  const embed = (ids: number, stack: Stack): number =>
    builder.add('embed', [ids], { ...embedding, sites: [`${stack}.hook_embed`] });

  const encoder = side(builder, spec, 'encoder', { mask, positions: 'source' });
  let stream = embed(tokens, 'encoder');
  for (let layer = 0; layer < spec.layers; layer++) {
    const at = `encoder.${layer}`;
    builder.name(stream, `${at}.hook_resid_pre`);
    stream = builder.add('sum', [stream, encoder.attend(layer, stream)], { sites: [`${at}.hook_resid_mid`] });
    stream = builder.add('sum', [stream, encoder.mlp(layer, 'ln2', stream)], { sites: [`${at}.hook_resid_post`] });
  }
  builder.name(stream, 'encoder_final_ln.hook_in');
  const encoded = encoder.norm('encoder_final_ln', stream);

  const decoder = side(builder, spec, 'decoder', { mask: textMask, positions: 'pos' });
  stream = embed(text, 'decoder');
  for (let layer = 0; layer < spec.decoderLayers; layer++) {
    const at = `decoder.${layer}`;
    builder.name(stream, `${at}.hook_resid_pre`);
    stream = builder.add('sum', [stream, decoder.attend(layer, stream)], { sites: [`${at}.hook_resid_mid`] });
    const crossed = addAttention(builder, {
      ...spec,
      place: { stack: 'cross', layer },
      queries: decoder.norm(`${at}.ln2`, stream),
      keys: encoded,
      mask,
      causal: false,
      scale: 1,
      biases: false,
    });
    stream = builder.add('sum', [stream, crossed], { sites: [`${at}.hook_resid_mid_cross`] });
    stream = builder.add('sum', [stream, decoder.mlp(layer, 'ln3', stream)], { sites: [`${at}.hook_resid_post`] });
  }
  builder.name(stream, 'decoder_final_ln.hook_in');
  let read = decoder.norm('decoder_final_ln', stream);
  if (spec.tied) read = builder.add('scale', [read], { attrs: { factor: width ** -0.5 } });
  builder.name(read, 'unembed.hook_in');
  const logits = builder.add('linear', [read], {
    params: [unembed, null],
    attrs: { out: [vocab] },
    sites: ['logits'],
  });
  return builder.build(logits);
}

type Stack = 'encoder' | 'decoder';

/** What the two stacks have in common. */
function side(
  builder: GraphBuilder,
  spec: EncoderDecoderSpec,
  stack: Stack,
  { mask, positions }: { readonly mask: number; readonly positions: string },
) {
  const { width, eps, heads } = spec;
  const causal = stack === 'decoder';
  const place = (layer: number): Place => ({ stack, layer });
  const norm = (at: string, x: number): number => addNorm(builder, { at, kind: 'rms', eps, width }, x);
  // One table for all blocks of a stack; checkpoints keep it with the first.
  const bias = {
    table: builder.param(`${stack}.0.attn.rel_pos_bias`, [spec.buckets.count, heads], { axis: 'out', count: heads }),
    buckets: builder.input(`${stack}_buckets`, {
      shape: [positions, positions],
      buckets: { ...spec.buckets, causal },
    }),
  };
  return {
    norm,
    attend: (layer: number, stream: number): number => {
      const read = norm(`${stack}.${layer}.ln1`, stream);
      const parts = { queries: read, keys: read, mask, causal, scale: 1, biases: false, bias };
      return addAttention(builder, { ...spec, ...parts, place: place(layer) });
    },
    mlp: (layer: number, at: string, stream: number): number =>
      addMlp(builder, { ...spec, biases: false, place: place(layer) }, norm(`${stack}.${layer}.${at}`, stream)),
  };
}
