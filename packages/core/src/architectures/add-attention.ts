import type { Place } from '../graph/index.ts';
import { attentionOutSite, attentionSite, type GraphBuilder } from '../graph/index.ts';

export interface AttentionParts {
  readonly place: Place;
  /** What queries read, and what keys and values read: the same value, or of cross-attention the encoder's. */
  readonly queries: number;
  readonly keys: number;
  /** The mask of the keys. */
  readonly mask: number;
  readonly causal: boolean;
  readonly heads: number;
  readonly headWidth: number;
  readonly width: number;
  /** Factor on q·k. */
  readonly scale: number;
  readonly biases: boolean;
  /** What is added to a score by the distance of query and key: a table [buckets, heads] and the bucket of each pair. */
  readonly bias?: { readonly buckets: number; readonly table: string };
}

/** Attention without rotary positions, every head with keys of its own. @returns what is added to the stream */
export function addAttention(builder: GraphBuilder, parts: AttentionParts): number {
  const { place, heads, headWidth, width, biases } = parts;
  const at = attentionSite(place);
  const inner = heads * headWidth;
  const split = { axis: 'out', count: heads } as const;
  const project = (port: 'q' | 'k' | 'v', from: number): number =>
    builder.add('linear', [from], {
      params: [
        builder.param(`${at}.W_${port.toUpperCase()}`, [width, inner], split),
        biases ? builder.param(`${at}.b_${port.toUpperCase()}`, [inner], split) : null,
      ],
      attrs: { out: [heads, headWidth] },
      sites: [`${at}.hook_${port}`],
    });
  const q = project('q', parts.queries);
  const k = project('k', parts.keys);
  const v = project('v', parts.keys);
  const scoresSite = `${at}.hook_attn_scores`;
  let scores = builder.add('scores', [q, k, parts.mask], {
    attrs: { scale: parts.scale, causal: parts.causal },
    sites: parts.bias ? [] : [scoresSite],
  });
  if (parts.bias) {
    const { buckets, table } = parts.bias;
    scores = builder.add('add_bias', [scores, buckets], { params: [table], sites: [scoresSite] });
  }
  const pattern = builder.add('softmax', [scores], { sites: [`${at}.hook_pattern`] });
  const z = builder.add('mix', [pattern, v], { sites: [`${at}.hook_z`] });
  return builder.add('linear', [z], {
    params: [
      builder.param(`${at}.W_O`, [inner, width], { axis: 'in', count: heads }),
      biases ? builder.param(`${at}.b_O`, [width]) : null,
    ],
    attrs: { out: [width] },
    sites: [attentionOutSite(place)],
  });
}
