import { type Graph, GraphBuilder } from '../graph/index.ts';
import { addAttention, type DecoderInputs } from './attention-part.ts';
import { type DecoderSpec, plainBlock } from './decoder-spec.ts';
import { addMlp } from './mlp-part.ts';
import { addNorm } from './norm-part.ts';

// The graph that all decoders share: a residual stream of sums, read and written by attention and MLP. Each architecture
// file only says which parts there are and where their weights lie.

export function buildDecoder(spec: DecoderSpec): Graph {
  const builder = new GraphBuilder();
  const tokens = builder.input('tokens');
  const positions = builder.input('positions');
  const mask = builder.input('mask');
  const unembed = builder.param('unembed.W_U', [spec.width, spec.vocab]);

  let stream = embedded(builder, spec, tokens, unembed);
  if (spec.positions.kind === 'learned') {
    const table = builder.param('pos_embed.W_pos', [spec.context, spec.width]);
    const added = builder.add('embed', [positions], {
      params: [table],
      attrs: { width: spec.width },
      sites: ['hook_pos_embed'],
    });
    stream = builder.add('sum', [stream, added]);
  }
  for (let layer = 0; layer < spec.layers; layer++) {
    builder.name(stream, `blocks.${layer}.hook_resid_pre`);
    stream = block(builder, spec, layer, stream, { positions, mask });
    builder.name(stream, `blocks.${layer}.hook_resid_post`);
  }
  const read = spec.norm ? addNorm(builder, spec.norm, 'ln_final', stream, { width: spec.width }) : stream;
  const cap = spec.logitSoftCap;
  const products = builder.add('linear', [read], {
    params: [unembed, spec.biases.unembed ? builder.param('unembed.b_U', [spec.vocab]) : null],
    attrs: { out: [spec.vocab] },
    sites: cap === undefined ? ['logits'] : [],
  });
  if (cap === undefined) return builder.build(products);
  return builder.build(builder.add('soft_cap', [products], { attrs: { cap }, sites: ['logits'] }));
}

/** Token embeddings as they enter the stream. */
function embedded(builder: GraphBuilder, spec: DecoderSpec, tokens: number, unembed: string): number {
  const { scale, normed = false } = spec.embedding ?? {};
  const attrs = { width: spec.width };
  const table = spec.tied
    ? { params: [unembed], attrs: { ...attrs, transposed: true } }
    : { params: [builder.param('embed.W_E', [spec.vocab, spec.width])], attrs };
  const sites = ['hook_embed'];
  const plain = scale === undefined && !normed;
  let found = builder.add('embed', [tokens], { ...table, sites: plain ? sites : [] });
  if (scale !== undefined) {
    found = builder.add('scale', [found], { attrs: { factor: scale }, sites: normed ? [] : sites });
  }
  return normed && spec.norm ? addNorm(builder, spec.norm, 'embed.ln', found, { width: spec.width, sites }) : found;
}

function block(builder: GraphBuilder, spec: DecoderSpec, layer: number, stream: number, inputs: DecoderInputs): number {
  const at = `blocks.${layer}`;
  const { norms, residual, adds = 'stream' } = spec.block ?? plainBlock;
  const { norm, width } = spec;
  const reading = (name: string, x: number): number =>
    norm && norms !== 'post' ? addNorm(builder, norm, `${at}.${name}`, x, { width }) : x;
  /** A branch's output under the name that it has in the stream. */
  const writing = (branch: 'attn' | 'mlp', make: (sites: readonly string[]) => number): number => {
    const sites = [`${at}.hook_${branch}_out`];
    if (!norm || norms === 'pre') return make(sites);
    const before = make([`${at}.${branch}_out_before_norm`]);
    return addNorm(builder, norm, `${at}.ln${branch === 'attn' ? 1 : 2}_post`, before, { width, sites });
  };
  const attention = (read: number): number =>
    writing('attn', (sites) => addAttention(builder, spec, layer, read, inputs, sites));
  const mlp = (read: number): number => writing('mlp', (sites) => addMlp(builder, spec, layer, read, sites));

  const read = reading('ln1', stream);
  if (residual !== 'sequential') {
    const other = residual === 'shared' ? read : reading('ln2', stream);
    return builder.add('sum', [stream, attention(read), mlp(other)]);
  }
  const middle = builder.add(
    'sum',
    [adds === 'normed' ? read : stream, attention(read)],
    spec.inner > 0 ? { sites: [`${at}.hook_resid_mid`] } : {},
  );
  if (spec.inner === 0) return middle;
  const next = reading('ln2', middle);
  return builder.add('sum', [adds === 'normed' ? next : middle, mlp(next)]);
}
