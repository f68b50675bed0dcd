import type { GraphBuilder } from '../graph/index.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { addNorm } from './norm-part.ts';
import { rotate } from './rotary-part.ts';

export interface DecoderInputs {
  readonly positions: number;
  readonly mask: number;
}

/** From what attention reads to what its heads write together, named by `sites`. */
export function addAttention(
  builder: GraphBuilder,
  spec: DecoderSpec,
  layer: number,
  read: number,
  inputs: DecoderInputs,
  sites: readonly string[],
): number {
  const at = `blocks.${layer}.attn`;
  const { heads, kvHeads, width, headWidth } = spec;
  const project = (port: 'Q' | 'K' | 'V', count: number): number => {
    const split = { axis: 'out', count } as const;
    return builder.add('linear', [read], {
      params: [
        builder.param(`${at}.W_${port}`, [width, count * headWidth], split),
        spec.biases.qkv ? builder.param(`${at}.b_${port}`, [count * headWidth], split) : null,
      ],
      attrs: { out: [count, headWidth] },
      sites: [`${at}.hook_${port.toLowerCase()}`],
    });
  };
  const placed = (x: number, port: 'q' | 'k', count: number): number =>
    rotate(builder, spec, layer, normedHeads(builder, spec, `${at}.${port}_norm`, x, count), port, inputs.positions);
  const q = placed(project('Q', heads), 'q', heads);
  const k = placed(project('K', kvHeads), 'k', kvHeads);
  const v = project('V', kvHeads);
  const scores = scored(builder, spec, layer, [q, k, inputs.mask]);
  builder.name(scores, `${at}.hook_attn_scores`);
  const pattern = builder.add('softmax', [scores], { sites: [`${at}.hook_pattern`] });
  const z = builder.add('mix', [pattern, v], { sites: [`${at}.hook_z`] });
  return builder.add('linear', [z], {
    params: [
      builder.param(`${at}.W_O`, [heads * headWidth, width], { axis: 'in', count: heads }),
      spec.biases.out ? builder.param(`${at}.b_O`, [width]) : null,
    ],
    attrs: { out: [width] },
    sites,
  });
}

/** Products of queries and keys through what a model does to them before its softmax. */
function scored(builder: GraphBuilder, spec: DecoderSpec, layer: number, of: readonly number[]): number {
  const { windows, softCap } = spec.attention ?? {};
  const window = windows?.[layer] ?? null;
  let scores = builder.add('scores', of, {
    attrs: { scale: spec.scoreScale(layer), causal: true, ...(window === null ? {} : { window }) },
  });
  if (softCap !== undefined) scores = builder.add('soft_cap', [scores], { attrs: { cap: softCap } });
  if (spec.positions.kind !== 'alibi') return scores;
  return builder.add('add_alibi', [scores, builder.input('key_positions')], {
    params: [builder.param('alibi.slopes', [spec.heads])],
  });
}

/** Queries or keys [rows, pos, head, d] through their norm: each head by itself, or all as one vector. */
function normedHeads(builder: GraphBuilder, spec: DecoderSpec, at: string, x: number, count: number): number {
  const over = spec.attention?.qkNorm;
  if (!over || !spec.norm) return x;
  const norm = { kind: 'rms', eps: spec.norm.eps } as const;
  if (over === 'head') return addNorm(builder, norm, at, x, { width: spec.headWidth });
  const width = count * spec.headWidth;
  const whole = builder.add('reshape', [x], { attrs: { out: [width] } });
  const normed = addNorm(builder, norm, at, whole, { width });
  return builder.add('reshape', [normed], { attrs: { out: [count, spec.headWidth] } });
}
