import { alongDirection, finishedProduct, sumOfTerms, vocabRows } from '../conformance/bounds.ts';
import type { Draw, Property } from './draw.ts';

/** Rows, width and heads of a few heads. */
function heads(draw: Draw) {
  const [K = 0, d = 0] = draw.sizes(2, { others: 12, least: 1 });
  return { rows: draw.small(0, 2), pos: draw.small(0, 3), count: draw.small(1, 4), K, d };
}

export const productProperties = {
  linear: (draw) => {
    const [R = 0, K = 0, N = 0] = draw.sizes(3);
    const transposed = draw.flag();
    const [from, to] = transposed ? [N, K] : [K, N];
    const onto = draw.perhaps(() => draw.floats([R, to]));
    const fn = draw.pick([undefined, undefined, 'gelu_tanh', 'gelu_erf', 'silu', 'relu']);
    const attrs = {
      transposed,
      ...(onto || draw.flag() ? { alpha: 0.75, beta: onto ? -1.25 : 0 } : {}),
      ...(fn ? { fn } : {}),
    };
    const params = [draw.floats([K, N]), draw.perhaps(() => draw.floats([to]))];
    const finished = 'alpha' in attrs || fn !== undefined;
    const allowed = finished ? finishedProduct(from) : sumOfTerms(from + 1);
    // Sizes that are all 1 or 0 read in more than one way are left to the conformance cases.
    return { inputs: [draw.floats([R, from]), onto], params, attrs, out: [[R, to]], allowed };
  },
  head_linear: (draw) => {
    const { rows, pos, count, K, d } = heads(draw);
    const transposed = draw.flag();
    const params = [draw.floats([K, count * d]), transposed ? null : draw.perhaps(() => draw.floats([count * d]))];
    const [from, to] = transposed ? [d, K] : [K, d];
    return {
      inputs: [draw.floats([rows, pos, count, from])],
      params,
      attrs: { transposed },
      out: [[rows, pos, count, to]],
      allowed: sumOfTerms(from + 1),
    };
  },
  head_result: (draw) => {
    const { rows, pos, count, K, d } = heads(draw);
    const one = draw.flag();
    return {
      inputs: [draw.floats([rows, pos, count, d])],
      params: [draw.floats([count * d, K])],
      attrs: one ? { head: draw.small(0, count - 1) } : {},
      out: [one ? [rows, pos, K] : [rows, pos, count, K]],
      allowed: sumOfTerms(d + 1),
    };
  },
  head_result_grad: (draw) => {
    const { rows, pos, count, K, d } = heads(draw);
    const one = draw.flag();
    return {
      inputs: [draw.floats(one ? [rows, pos, K] : [rows, pos, count, K])],
      params: [draw.floats([count * d, K])],
      attrs: one ? { head: draw.small(0, count - 1) } : {},
      out: [[rows, pos, count, d]],
      allowed: sumOfTerms(K),
    };
  },
  columns: (draw) => {
    const [m = 0, V = 0] = draw.sizes(2, { least: 1 });
    const [rows, groups, count] = [draw.small(0, 3), draw.small(0, 3), draw.small(0, 9)];
    return {
      inputs: [draw.floats([rows, groups, m]), draw.ints([rows, count], V)],
      params: [draw.floats([m, V]), draw.perhaps(() => draw.floats([V]))],
      out: [[rows, groups, count]],
      allowed: sumOfTerms(m + 1),
    };
  },
  columns_grad: (draw) => {
    const [m = 0, V = 0] = draw.sizes(2, { least: 1 });
    const [rows, groups, count] = [draw.small(0, 3), draw.small(0, 3), draw.small(0, 9)];
    return {
      inputs: [draw.floats([rows, groups, count]), draw.ints([rows, count], V)],
      params: [draw.floats([m, V])],
      out: [[rows, groups, m]],
      allowed: sumOfTerms(count + 1),
    };
  },
  bias_act_top_k: (draw) => {
    const [T = 0, d = 0, F = 0] = draw.sizes(3);
    const k = draw.small(0, 9);
    const activation = draw.pick(['none', 'relu', 'threshold']);
    const screen = draw.pick(['none', 'bf16', 'int8', 'auto']);
    const thresholds = activation === 'threshold' ? draw.positive([F]) : null;
    return {
      inputs: [draw.floats([T, d])],
      params: [draw.floats([d, F]), draw.perhaps(() => draw.floats([F])), thresholds],
      attrs: { activation, k, screen },
      out: [[T, k], [T, k], [T]],
      // Which latents are first hangs on the last bit: the f32 reference rounds as the kernel does.
      allowed: 'exact',
    };
  },
  project_csr: (draw) => {
    const [T = 0, d = 0, F = 0] = draw.sizes(3);
    const activation = draw.pick(['none', 'relu', 'threshold']);
    const entries = T * F + draw.small(0, 3);
    const batchTopK = draw.perhaps(() => draw.small(0, 9));
    return {
      inputs: [draw.floats([T, d])],
      params: [
        draw.floats([d, F]),
        draw.perhaps(() => draw.floats([F])),
        activation === 'threshold' ? draw.positive([F]) : null,
      ],
      attrs: { activation, ...(batchTopK === null ? {} : { batchTopK }) },
      out: [[entries], [entries], [T + 1]],
      allowed: 'exact',
    };
  },
  active_csr: (draw) => {
    const [T = 0, F = 0] = draw.sizes(2);
    const entries = T * F + draw.small(0, 3);
    const batchTopK = draw.perhaps(() => draw.small(0, 9));
    const attrs = batchTopK === null ? {} : { batchTopK };
    return { inputs: [draw.quarters([T, F])], attrs, out: [[entries], [entries], [T + 1]], allowed: 'exact' };
  },
  active_top_k: (draw) => {
    const [T = 0, F = 0] = draw.sizes(2);
    const k = draw.small(0, 9);
    return { inputs: [draw.quarters([T, F])], attrs: { k }, out: [[T, k], [T, k], [T]], allowed: 'exact' };
  },
  vocab_statistics: (draw) => {
    const [m = 0, V = 0] = draw.sizes(2, { others: 6, least: 1 });
    const [rows, k] = [draw.small(1, 3), draw.small(0, 5)];
    return {
      inputs: [
        draw.quarters([rows, m]),
        draw.perhaps(() => draw.ints([rows], V)),
        draw.perhaps(() => draw.quarters([draw.pick([1, rows]), m])),
      ],
      params: [draw.quarters([m, V]), null],
      attrs: { k },
      out: [
        [rows, 5],
        [rows, k],
        [rows, k],
      ],
      allowed: vocabRows,
    };
  },
  project_dot: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2);
    const allowed = sumOfTerms(Math.ceil(n / 32) + 5);
    return { inputs: [draw.floats([rows, n]), draw.floats([n])], out: [[rows]], allowed };
  },
  pair_dots: (draw) => {
    const [n = 0] = draw.sizes(1, { least: 1 });
    const [rows, pos, vectors] = [draw.small(0, 2), draw.small(0, 3), draw.small(1, 3)];
    const others = draw.small(1, 3);
    return {
      inputs: [
        draw.floats([2 * rows, pos, vectors, n]),
        draw.floats([rows, pos, others, n]),
        draw.floats([2 * rows, pos, n]),
      ],
      out: [[2 * rows, others + 1, vectors]],
      allowed: sumOfTerms(3 * (Math.ceil(n / 32) + 6)),
    };
  },
  direction: (draw) => {
    const [n = 0] = draw.sizes(1, { least: 1 });
    const [rows, a, b] = [draw.small(1, 4), draw.small(1, 5), draw.small(1, 4)];
    const op = draw.pick(['project_out', 'steer', 'clamp']);
    const perRow = draw.flag();
    const dir = draw.positive(perRow ? [rows, n] : [n]);
    for (let row = 0; row < dir.data.length / n; row++) {
      const own = Float64Array.from(dir.data.subarray(row * n, (row + 1) * n));
      const length = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
      own.forEach((value, at) => {
        dir.data[row * n + at] = (draw.flag() ? value : -value) / length;
      });
    }
    const mask = (size: number) => draw.perhaps(() => draw.ints([rows, size], 2));
    const coef = op === 'project_out' ? null : draw.floats([rows]);
    return {
      inputs: [draw.floats([rows, a, b, n]), dir, mask(a), mask(b), coef],
      attrs: { op, dims: [a, b, n], ...(perRow ? { perRow } : {}) },
      out: [[rows, a, b, n]],
      allowed: alongDirection,
    };
  },
  edge_read: (draw) => {
    const [pos = 0, m = 0] = draw.sizes(2, { others: 12 });
    const [count, writers] = [draw.small(0, 3), draw.small(0, 3)];
    const rows = 2;
    const own = () => draw.floats([draw.pick([1, rows]), pos, m]);
    return {
      inputs: [
        draw.floats([rows, pos, m]),
        ...Array.from({ length: writers }, own),
        draw.ints([rows, Math.max(1, count), writers], 2),
      ].map((value, at, all) =>
        at === all.length - 1 ? { shape: value.shape, data: Float32Array.from(value.data, (x) => x * 0.75) } : value,
      ),
      attrs: { heads: count },
      out: [count === 0 ? [rows, pos, m] : [rows, pos, count, m]],
      allowed: 'exact',
    };
  },
  edge_read_grad: (draw) => {
    const [pos = 0, m = 0] = draw.sizes(2, { others: 6 });
    const [count, writers] = [draw.small(0, 3), draw.small(1, 3)];
    const delta = draw.perhaps(() => draw.small(0, writers - 1));
    const ct = draw.floats(count === 0 ? [2, pos, m] : [2, pos, count, m]);
    return {
      inputs: [ct, delta === null ? null : draw.floats([2, Math.max(count, 1), writers])],
      attrs: { heads: count, ...(delta === null ? {} : { delta }) },
      out: [[2, pos, m]],
      allowed: 'exact',
    };
  },
} as const satisfies { readonly [kernel: string]: Property };
