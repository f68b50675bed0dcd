import { type Graph, GraphBuilder } from '../graph/index.ts';
import { addAttention } from './add-attention.ts';
import { type Activation, addMlp } from './add-mlp.ts';
import { addNorm } from './add-norm.ts';

// An encoder that fills in masked tokens: it reads both ways, and a norm stands behind every sum. BERT: Devlin et al. 2019.
// What a block reads is a norm's output, no sum of what was written before it.

export interface EncoderSpec {
  readonly kind: 'encoder';
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly headWidth: number;
  readonly inner: number;
  readonly vocab: number;
  readonly context: number;
  readonly eps: number;
  readonly activation: Activation;
  /** How many segments are told apart; 0 for models that do not. */
  readonly tokenTypes: number;
  /** The unembedding is the transposed embedding. */
  readonly tied: boolean;
}

/** Inputs: `tokens`, `positions`, `mask` and, where segments are told apart, `token_types`, all [batch, pos]. */
export function buildEncoder(spec: EncoderSpec): Graph {
  const builder = new GraphBuilder();
  const { width, vocab, activation: fn } = spec;
  const [tokens, positions, mask] = ['tokens', 'positions', 'mask'].map((name) => builder.input(name));
  const norm = (at: string, x: number): number => addNorm(builder, { at, kind: 'layer', eps: spec.eps, width }, x);
  const table = (ids: number | undefined, param: string, rows: number, site: string): number =>
    builder.add('embed', [ids ?? -1], {
      params: [builder.param(param, [rows, width])],
      attrs: { width },
      sites: [site],
    });

  const unembed = builder.param('unembed.W_U', [width, vocab]);
  const embedded = spec.tied
    ? builder.add('embed', [tokens ?? -1], {
        params: [unembed],
        attrs: { width, transposed: true },
        sites: ['embed.hook_embed'],
      })
    : table(tokens, 'embed.W_E', vocab, 'embed.hook_embed');
  const terms = [embedded, table(positions, 'pos_embed.W_pos', spec.context, 'embed.hook_pos_embed')];
  if (spec.tokenTypes > 0) {
    const types = builder.input('token_types');
    terms.push(table(types, 'token_type_embed.W_token_type', spec.tokenTypes, 'embed.hook_token_type_embed'));
  }
  let stream = norm('embed.ln', builder.add('sum', terms));
  builder.name(stream, 'hook_full_embed');

  for (let layer = 0; layer < spec.layers; layer++) {
    const at = `blocks.${layer}`;
    builder.name(stream, `${at}.hook_resid_pre`);
    const attended = addAttention(builder, {
      ...spec,
      place: { layer },
      queries: stream,
      keys: stream,
      mask: mask ?? -1,
      causal: false,
      scale: 1 / Math.sqrt(spec.headWidth),
      biases: true,
    });
    stream = norm(`${at}.ln1`, builder.add('sum', [stream, attended], { sites: [`${at}.hook_resid_mid`] }));
    builder.name(stream, `${at}.hook_normalized_resid_mid`);
    const written = addMlp(builder, { ...spec, place: { layer }, gated: false, biases: true }, stream);
    stream = norm(`${at}.ln2`, builder.add('sum', [stream, written], { sites: [`${at}.hook_resid_post`] }));
    builder.name(stream, `${at}.hook_normalized_resid_post`);
  }

  const dense = builder.add('linear', [stream], {
    params: [builder.param('mlm_head.W', [width, width]), builder.param('mlm_head.b', [width])],
    attrs: { out: [width] },
    sites: ['mlm_head.dense.hook_out'],
  });
  const active = builder.add('activation', [dense], { attrs: { fn }, sites: ['mlm_head.hook_post'] });
  const logits = builder.add('linear', [norm('mlm_head.ln', active)], {
    params: [unembed, builder.param('unembed.b_U', [vocab])],
    attrs: { out: [vocab] },
    sites: ['logits'],
  });
  return builder.build(logits);
}
