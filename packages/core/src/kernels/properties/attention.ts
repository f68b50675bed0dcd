import type { Tensor } from '../../tensor/index.ts';
import { fusedAttention, givenRotation, rotation, sumOfTerms } from '../conformance/bounds.ts';
import { attentionSlope } from '../conformance/gradient-bounds.ts';
import type { Draw, Property } from './draw.ts';

function attends(draw: Draw) {
  const kvHeads = draw.small(1, 2);
  const heads = kvHeads * draw.small(1, 2);
  const rows = draw.small(0, 2);
  const [pos = 0, keys = 0, d = 0] = draw.sizes(3, { others: 4 * heads, least: 1 });
  const window = draw.pick([0, 0, 1, 5, 40]);
  const attrs = { scale: 0.25, causal: draw.flag(), ...(window ? { window } : {}) };
  return { rows, heads, kvHeads, pos, keys, d, attrs };
}

/** Weights that sum to something, some of them 0. */
function pattern(draw: Draw, shape: readonly number[]): Tensor {
  const { data } = draw.floats(shape);
  const keys = shape.at(-1) ?? 1;
  return { shape, data: Float32Array.from(data, (x) => (Math.abs(x) < 0.2 ? 0 : Math.abs(x) / Math.max(keys, 1))) };
}

export const attentionProperties = {
  scores: (draw) => {
    const { rows, heads, kvHeads, pos, keys, d, attrs } = attends(draw);
    return {
      inputs: [
        draw.floats([rows, pos, heads, d]),
        draw.floats([rows, keys, kvHeads, d]),
        draw.perhaps(() => draw.ints([rows, keys], 2)),
      ],
      attrs,
      out: [[rows, heads, pos, keys]],
      allowed: sumOfTerms(d + 1),
    };
  },
  mix: (draw) => {
    const { rows, heads, kvHeads, pos, keys, d } = attends(draw);
    const inputs = [pattern(draw, [rows, heads, pos, keys]), draw.floats([rows, keys, kvHeads, d])];
    return { inputs, out: [[rows, pos, heads, d]], allowed: sumOfTerms(keys) };
  },
  mix_transposed: (draw) => {
    const { rows, heads, kvHeads, pos, keys, d } = attends(draw);
    const inputs = [pattern(draw, [rows, heads, pos, keys]), draw.floats([rows, pos, heads, d])];
    return { inputs, out: [[rows, keys, kvHeads, d]], allowed: sumOfTerms((heads / kvHeads) * pos) };
  },
  attention: (draw) => {
    const { rows, heads, kvHeads, pos, keys, d, attrs } = attends(draw);
    const square = [rows, heads, pos, keys];
    return {
      inputs: [
        draw.floats([rows, pos, heads, d]),
        draw.floats([rows, keys, kvHeads, d]),
        draw.floats([rows, keys, kvHeads, d]),
        draw.perhaps(() => draw.ints([rows, keys], 2)),
        null,
        null,
      ],
      params: [null, null],
      attrs,
      out: [[rows, pos, heads, d], square, square],
      allowed: fusedAttention,
    };
  },
  attention_grad: (draw) => {
    const { rows, heads, kvHeads, pos, keys, d, attrs } = attends(draw);
    const square = [rows, heads, pos, keys];
    const [q, k] = [
      [rows, pos, heads, d],
      [rows, keys, kvHeads, d],
    ] as const;
    return {
      inputs: [draw.floats(q), draw.floats(k), draw.floats(k), pattern(draw, square), draw.floats(q)],
      attrs,
      out: [q, k, k, square],
      allowed: attentionSlope.allowed,
    };
  },
  add_bias: (draw) => {
    const { rows, heads, pos, keys } = attends(draw);
    const buckets = draw.small(1, 9);
    return {
      inputs: [draw.floats([rows, heads, pos, keys]), draw.ints([pos, keys], buckets)],
      params: [draw.floats([buckets, heads])],
      out: [[rows, heads, pos, keys]],
      allowed: 'exact',
    };
  },
  add_bias_grad: (draw) => {
    const { heads, pos, keys } = attends(draw);
    const [groups, per, buckets] = [draw.small(1, 2), draw.small(1, 2), draw.small(1, 9)];
    return {
      inputs: [draw.ints([pos, keys], buckets), draw.floats([groups * per, heads, pos, keys])],
      out: [[groups, buckets, heads]],
      allowed: sumOfTerms(per * pos * keys + 1),
    };
  },
  add_alibi: (draw) => {
    const { rows, heads, pos, keys } = attends(draw);
    return {
      inputs: [draw.floats([rows, heads, pos, keys]), draw.ints([rows, keys], 70)],
      params: [draw.floats([heads])],
      out: [[rows, heads, pos, keys]],
      allowed: 'exact',
    };
  },
  add_alibi_grad: (draw) => {
    const { heads, pos, keys } = attends(draw);
    const [groups, per] = [draw.small(1, 2), draw.small(1, 2)];
    const rows = groups * per;
    return {
      inputs: [draw.ints([rows, keys], 70), draw.floats([rows, heads, pos, keys])],
      out: [[groups, heads]],
      allowed: sumOfTerms(per * pos + Math.ceil(keys / 32) + 8),
    };
  },
  rotary: (draw) => {
    const [d = 0] = draw.sizes(1, { least: 1 });
    const [rows, pos, heads, table] = [draw.small(0, 2), draw.small(0, 5), draw.small(1, 3), draw.small(1, 9)];
    const dims = 2 * draw.small(0, Math.floor(d / 2));
    return {
      inputs: [draw.floats([rows, pos, heads, d]), draw.ints([rows, pos], dims > 0 ? table : 1)],
      params: [draw.floats([table, dims / 2]), draw.floats([table, dims / 2])],
      attrs: { layout: draw.pick(['half', 'adjacent']), dims, inverse: draw.flag() },
      out: [[rows, pos, heads, d]],
      allowed: rotation,
    };
  },
  rotate: (draw) => {
    const [d = 0] = draw.sizes(1, { least: 1 });
    const [rows, pos, heads] = [draw.small(0, 2), draw.small(0, 5), draw.small(1, 3)];
    const waves = draw.small(0, Math.floor(d / 2));
    return {
      inputs: [draw.floats([rows, pos, heads, d]), draw.floats([rows, pos, waves]), draw.floats([rows, pos, waves])],
      attrs: { layout: draw.pick(['half', 'adjacent']), inverse: draw.flag() },
      out: [[rows, pos, heads, d]],
      allowed: givenRotation,
    };
  },
} as const satisfies { readonly [kernel: string]: Property };
