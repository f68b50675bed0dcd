import { type Dim, type Graph, GraphBuilder } from '../graph/index.ts';

// The graph that GPT-2, Llama and attention-only models share: a residual stream of sums, read through a norm by
// attention and MLP. Each architecture file only says which parts there are and where their weights lie.

export interface DecoderSpec {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  readonly headWidth: number;
  /** Width of the MLP's hidden layer; 0 for attention-only models. */
  readonly inner: number;
  readonly vocab: number;
  readonly context: number;
  readonly norm: { readonly kind: 'layer' | 'rms'; readonly eps: number } | null;
  readonly positions: { readonly kind: 'learned' } | Rotary;
  readonly activation: 'gelu_tanh' | 'gelu_erf' | 'silu' | 'relu';
  readonly gated: boolean;
  readonly biases: { readonly qkv: boolean; readonly out: boolean; readonly mlp: boolean; readonly unembed: boolean };
  /** Factor on q·k, by layer. */
  readonly scoreScale: (layer: number) => number;
  /** The unembedding is the transposed embedding: one stored weight serves both. */
  readonly tied: boolean;
}

export interface Rotary {
  readonly kind: 'rotary';
  readonly base: number;
  /** How many entries of a head are rotated. */
  readonly dims: number;
  readonly layout: 'half' | 'adjacent';
}

export function buildDecoder(spec: DecoderSpec): Graph {
  const builder = new GraphBuilder();
  const tokens = builder.input('tokens');
  const positions = builder.input('positions');
  const mask = builder.input('mask');

  const unembed = builder.param('unembed.W_U', [spec.width, spec.vocab]);
  const embedding = spec.tied
    ? { params: [unembed], attrs: { width: spec.width, transposed: true } }
    : { params: [builder.param('embed.W_E', [spec.vocab, spec.width])], attrs: { width: spec.width } };
  let stream = builder.add('embed', [tokens], { ...embedding, sites: ['hook_embed'] });
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
    const at = `blocks.${layer}`;
    builder.name(stream, `${at}.hook_resid_pre`);
    const attended = attention(builder, spec, layer, stream, { positions, mask });
    stream = builder.add('sum', [stream, attended], spec.inner > 0 ? { sites: [`${at}.hook_resid_mid`] } : {});
    if (spec.inner > 0) stream = builder.add('sum', [stream, mlp(builder, spec, at, stream)]);
    builder.name(stream, `${at}.hook_resid_post`);
  }

  const read = norm(builder, spec, 'ln_final', stream);
  const logits = builder.add('linear', [read], {
    params: [unembed, spec.biases.unembed ? builder.param('unembed.b_U', [spec.vocab]) : null],
    attrs: { out: [spec.vocab] },
    sites: ['logits'],
  });
  return builder.build(logits);
}

/** Scale, normalised and output of a norm are values of their own, so that each can be read, frozen or changed. */
function norm(builder: GraphBuilder, spec: DecoderSpec, at: string, x: number): number {
  if (!spec.norm) return x;
  const { kind, eps } = spec.norm;
  const scale = builder.add('norm_scale', [x], { attrs: { kind, eps }, sites: [`${at}.hook_scale`] });
  const normalized = builder.add('normalize', [x, scale], { attrs: { kind }, sites: [`${at}.hook_normalized`] });
  const gain = builder.param(`${at}.w`, [spec.width]);
  const shift = kind === 'layer' ? builder.param(`${at}.b`, [spec.width]) : null;
  return builder.add('affine', [normalized], { params: [gain, shift], sites: [`${at}.hook_out`] });
}

function attention(
  builder: GraphBuilder,
  spec: DecoderSpec,
  layer: number,
  stream: number,
  inputs: { readonly positions: number; readonly mask: number },
): number {
  const at = `blocks.${layer}`;
  const read = norm(builder, spec, `${at}.ln1`, stream);
  const project = (port: 'Q' | 'K' | 'V', heads: number): number => {
    const width = heads * spec.headWidth;
    const split = { axis: 'out', count: heads } as const;
    return builder.add('linear', [read], {
      params: [
        builder.param(`${at}.attn.W_${port}`, [spec.width, width], split),
        spec.biases.qkv ? builder.param(`${at}.attn.b_${port}`, [width], split) : null,
      ],
      attrs: { out: [heads, spec.headWidth] },
      sites: [`${at}.attn.hook_${port.toLowerCase()}`],
    });
  };
  const rotate = (x: number, port: 'q' | 'k'): number => {
    if (spec.positions.kind !== 'rotary') return x;
    const { layout, dims } = spec.positions;
    const table = (dims / 2) * spec.context;
    return builder.add('rotary', [x, inputs.positions], {
      params: [builder.param('rotary.cos', [table]), builder.param('rotary.sin', [table])],
      attrs: { layout, dims },
      sites: [`${at}.attn.hook_rot_${port}`],
    });
  };
  const q = rotate(project('Q', spec.heads), 'q');
  const k = rotate(project('K', spec.kvHeads), 'k');
  const v = project('V', spec.kvHeads);
  const scores = builder.add('scores', [q, k, inputs.mask], {
    attrs: { scale: spec.scoreScale(layer), causal: true },
    sites: [`${at}.attn.hook_attn_scores`],
  });
  const pattern = builder.add('softmax', [scores], { sites: [`${at}.attn.hook_pattern`] });
  const z = builder.add('mix', [pattern, v], { sites: [`${at}.attn.hook_z`] });
  const split = { axis: 'in', count: spec.heads } as const;
  return builder.add('linear', [z], {
    params: [
      builder.param(`${at}.attn.W_O`, [spec.heads * spec.headWidth, spec.width], split),
      spec.biases.out ? builder.param(`${at}.attn.b_O`, [spec.width]) : null,
    ],
    attrs: { out: [spec.width] },
    sites: [`${at}.hook_attn_out`],
  });
}

function mlp(builder: GraphBuilder, spec: DecoderSpec, at: string, stream: number): number {
  const read = norm(builder, spec, `${at}.ln2`, stream);
  const linear = (weight: string, bias: string, shape: readonly [number, number], from: number, site: string): number =>
    builder.add('linear', [from], {
      params: [
        builder.param(`${at}.mlp.${weight}`, shape),
        spec.biases.mlp ? builder.param(`${at}.mlp.${bias}`, [shape[1]]) : null,
      ],
      attrs: { out: [shape[1]] as readonly Dim[] },
      sites: [`${at}.${site}`],
    });
  const into = [spec.width, spec.inner] as const;
  const activate = (x: number, sites: readonly string[]): number =>
    builder.add('activation', [x], { attrs: { fn: spec.activation }, sites });
  let post: number;
  if (spec.gated) {
    const gate = linear('W_gate', 'b_gate', into, read, 'mlp.hook_pre');
    const up = linear('W_in', 'b_in', into, read, 'mlp.hook_pre_linear');
    post = builder.add('mul', [activate(gate, []), up], { sites: [`${at}.mlp.hook_post`] });
  } else {
    post = activate(linear('W_in', 'b_in', into, read, 'mlp.hook_pre'), [`${at}.mlp.hook_post`]);
  }
  return linear('W_out', 'b_out', [spec.inner, spec.width], post, 'hook_mlp_out');
}
