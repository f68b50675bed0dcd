import { crossEntropyRows, sumOfTerms } from '../conformance/bounds.ts';
import { crossEntropySlope } from '../conformance/gradient-bounds.ts';
import type { Draw, Property } from './draw.ts';

/** Cotangent groups, and rows of two inputs, one of which may be shared by all groups. */
function grouped(draw: Draw) {
  const [groups, per] = [draw.small(1, 3), draw.small(1, 3)];
  const all = groups * per;
  return { groups, per, all, own: draw.flag() ? per : all };
}

const ids = (draw: Draw, shape: readonly number[], below: number) => {
  const value = draw.ints(shape, below);
  return { ...value, data: value.data.map((id) => (draw.rng.below(6) === 0 ? -100 : id)) };
};

export const gradientProperties = {
  cross_entropy: (draw) => {
    const [rows = 0, V = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, 1, V], 3), ids(draw, [rows, 1], V)];
    return { inputs, out: [[rows, 1]], allowed: crossEntropyRows };
  },
  cross_entropy_grad: (draw) => {
    const [rows = 0, V = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, 1, V], 3), ids(draw, [rows, 1], V), draw.floats([rows, 1])];
    return { inputs, out: [[rows, 1, V]], allowed: crossEntropySlope.allowed };
  },
  linear_grad_weight: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [K = 0, N = 0] = draw.sizes(2, { others: all, least: 1 });
    const inputs = [draw.floats([own, 1, K]), draw.floats([all, 1, N])];
    return { inputs, out: [[groups, K, N]], allowed: sumOfTerms(per + 1) };
  },
  head_linear_grad_weight: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [K = 0, d = 0] = draw.sizes(2, { others: 4 * all, least: 1 });
    const inputs = [draw.floats([own, 2, 2, K]), draw.floats([all, 2, 2, d])];
    return { inputs, out: [[groups, K, 2 * d]], allowed: sumOfTerms(2 * per + 1) };
  },
  head_result_grad_weight: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [d = 0, m = 0] = draw.sizes(2, { others: 4 * all, least: 1 });
    const one = draw.flag();
    return {
      inputs: [draw.floats([own, 2, 2, d]), draw.floats(one ? [all, 2, m] : [all, 2, 2, m])],
      attrs: one ? { head: draw.small(0, 1) } : {},
      out: [[groups, 2 * d, m]],
      allowed: sumOfTerms(2 * per + 1),
    };
  },
  column_sum: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [pos = 0, N = 0] = draw.sizes(2, { others: all, least: 1 });
    const inputs = [draw.floats([all, pos, N]), draw.perhaps(() => draw.floats([own, pos, N]))];
    return { inputs, out: [[groups, N]], allowed: sumOfTerms(per * pos + 1) };
  },
  embed_grad: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [V = 0, m = 0] = draw.sizes(2, { others: all, least: 1 });
    const pos = draw.small(1, 4);
    const transposed = draw.flag();
    return {
      inputs: [draw.ints([own, pos], V), draw.floats([all, pos, m])],
      attrs: { transposed },
      out: [transposed ? [groups, m, V] : [groups, V, m]],
      allowed: sumOfTerms(per * pos + 1),
    };
  },
  columns_grad_weight: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [m = 0, V = 0] = draw.sizes(2, { others: all, least: 1 });
    const [pos, count] = [draw.small(1, 2), draw.small(1, 4)];
    return {
      inputs: [draw.floats([own, pos, m]), draw.ints([all, count], V), draw.floats([all, pos, count])],
      out: [[groups, m, V]],
      allowed: sumOfTerms(per * pos * count + 1),
    };
  },
  columns_grad_bias: (draw) => {
    const { groups, per, all, own } = grouped(draw);
    const [V = 0] = draw.sizes(1, { least: 1 });
    const [pos, count] = [draw.small(1, 2), draw.small(1, 4)];
    return {
      inputs: [draw.ints([own, count], V), draw.floats([all, pos, count])],
      out: [[groups, V]],
      allowed: sumOfTerms(per * pos * count + 1),
    };
  },
} as const satisfies { readonly [kernel: string]: Property };
