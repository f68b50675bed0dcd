import type { ConformanceCase } from '../conformance.ts';
import { alongDirection } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, widths, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

const edits: ConformanceCase[] = [
  ...widths.flatMap((n3) =>
    (['set', 'add', 'scale'] as const).flatMap((op) =>
      (['none', 'scalar', 'vector', 'rows'] as const).map((valueShape) => {
        const shape = { none: null, scalar: [1], vector: [3, n3], rows: [2, 5, 3, n3] }[valueShape];
        return buildCase('edit', `${op} ${valueShape === 'none' ? 'a constant' : valueShape}, heads of width ${n3}`, {
          inputs: [
            random(`edit/x/${n3}`, [4, 5, 3, n3]),
            shape && random(`edit/value/${valueShape}/${n3}`, shape),
            randomInts(`edit/a/${n3}`, [4, 5], 2),
            randomInts(`edit/b/${n3}`, [4, 3], 2),
            randomInts(`edit/c/${n3}`, [4, n3], 2),
            random('edit/coef', [4]),
          ],
          attrs: { op, dims: [5, 3, n3], valueShape, constant: 0.7 },
          out: [[4, 5, 3, n3]],
          bound: 'exact',
        });
      }),
    ),
  ),
  ...lengths.map((rows) =>
    buildCase('edit', `${rows} rows, no masks, no coefficient`, {
      inputs: [random(`edit/rows/${rows}`, [rows, 2, 9]), random('edit/rows/value', [9]), null, null, null, null],
      attrs: { op: 'add', dims: [2, 1, 9], valueShape: 'vector' },
      out: [[rows, 2, 9]],
      bound: 'exact',
    }),
  ),
  buildCase('edit', 'only where every mask is nonzero, and NaN elsewhere stays', {
    inputs: [
      floats([1, 2, 2, 2], [nan, 2, 3, 4, 5, 6, 7, 8]),
      null,
      ints([1, 2], [1, 1]),
      ints([1, 2], [0, 5]),
      ints([1, 2], [0, -1]),
      null,
    ],
    attrs: { op: 'set', dims: [2, 2, 2], valueShape: 'none', constant: 0 },
    out: [[1, 2, 2, 2]],
    bound: 'exact',
    expect: [[nan, 2, 3, 0, 5, 6, 7, 0]],
  }),
  buildCase('edit', 'setting to zero wipes NaN and infinities out', {
    inputs: [floats([1, 3], [nan, infinity, -0]), null, null, null, null, null],
    attrs: { op: 'set', dims: [1, 1, 3], valueShape: 'none', constant: 0 },
    out: [[1, 3]],
    bound: 'exact',
    expect: [[0, 0, 0]],
  }),
  buildCase('edit', 'row r reads row r mod Rv of the value, times its own coefficient', {
    inputs: [floats([4, 1], [0, 0, 0, 0]), floats([2, 1], [1, 10]), null, null, null, floats([4], [1, 2, 3, -0.5])],
    attrs: { op: 'add', dims: [1, 1, 1], valueShape: 'rows' },
    out: [[4, 1]],
    bound: 'exact',
    expect: [[1, 20, 3, -5]],
  }),
  buildCase('edit', 'coefficient times value is rounded before it is added', {
    inputs: [
      floats([1, 1], [-(1 + 2 ** -11)]),
      floats([1], [1 + 2 ** -12]),
      null,
      null,
      null,
      floats([1], [1 + 2 ** -12]),
    ],
    attrs: { op: 'add', dims: [1, 1, 1], valueShape: 'scalar' },
    out: [[1, 1]],
    bound: 'exact',
    rounded: true,
    expect: [[0]],
  }),
  buildCase('edit', 'a constant is scaled by the coefficient of its row', {
    inputs: [floats([2, 1], [3, 3]), null, null, null, null, floats([2], [1, 0])],
    attrs: { op: 'scale', dims: [1, 1, 1], valueShape: 'none', constant: 2 },
    out: [[2, 1]],
    bound: 'exact',
    expect: [[6, 0]],
  }),
];

const dirBound = { allowed: alongDirection, because: 'u·((⌈n/32⌉ + 8)·Σ|x·u| + 2|c|)·|u_i| + 2u(|x| + |out|)' };

const directions: ConformanceCase[] = [
  ...widths.flatMap((n3) =>
    (['project_out', 'steer', 'clamp'] as const).map((op) => {
      const raw = random(`direction/u/${n3}`, [n3]);
      const length = Math.sqrt(Array.from(raw.data).reduce((total, value) => total + value * value, 0));
      return buildCase('direction', `${op}, width ${n3}`, {
        inputs: [
          random(`direction/x/${n3}`, [3, 4, 2, n3]),
          floats(
            [n3],
            Array.from(raw.data, (value) => value / length),
          ),
          randomInts(`direction/a/${n3}`, [3, 4], 2),
          randomInts(`direction/b/${n3}`, [3, 2], 2),
          op === 'project_out' ? null : random('direction/coef', [3]),
        ],
        attrs: { op, dims: [4, 2, n3] },
        out: [[3, 4, 2, n3]],
        bound: dirBound,
        sameBits: true,
      });
    }),
  ),
  ...(['project_out', 'steer', 'clamp'] as const).map((op) =>
    buildCase('direction', `${op} along the first axis`, {
      inputs: [floats([2, 1, 1, 2], [3, 4, -5, 6]), floats([2], [1, 0]), null, null, floats([2], [10, 20])],
      attrs: { op, dims: [1, 1, 2] },
      out: [[2, 1, 1, 2]],
      bound: 'exact',
      expect: [{ project_out: [0, 4, 0, 6], steer: [13, 4, 15, 6], clamp: [10, 4, 20, 6] }[op]],
    }),
  ),
  ...(['project_out', 'steer', 'clamp'] as const).map((op) =>
    buildCase('direction', `${op} along a direction of each row's own`, {
      inputs: [floats([2, 1, 1, 2], [3, 4, -5, 6]), floats([2, 2], [1, 0, 0, 1]), null, null, floats([2], [10, 20])],
      attrs: { op, dims: [1, 1, 2], perRow: true },
      out: [[2, 1, 1, 2]],
      bound: 'exact',
      expect: [{ project_out: [0, 4, -5, 0], steer: [13, 4, -5, 26], clamp: [10, 4, -5, 20] }[op]],
    }),
  ),
  buildCase('direction', 'the dot goes through the lanes of the fixed tree', {
    // x·u is 1 by lanes (2^24 and −2^24 meet in lane 0) and 0 from left to right.
    inputs: [
      floats(
        [1, 33],
        Array.from({ length: 33 }, (_, i) => ({ 0: 2 ** 24, 1: 1, 32: -(2 ** 24) })[i] ?? 0),
      ),
      floats([33], new Array<number>(33).fill(1)),
      null,
      null,
      null,
    ],
    attrs: { op: 'project_out', dims: [1, 1, 33] },
    out: [[1, 33]],
    bound: 'exact',
    rounded: true,
    expect: [Array.from({ length: 33 }, (_, i) => ({ 0: 2 ** 24 - 1, 1: 0, 32: -(2 ** 24) })[i] ?? -1)],
  }),
  buildCase('direction', 'only the vectors whose masks both hold', {
    inputs: [
      floats([1, 2, 3, 1], [1, 2, 3, 4, 5, 6]),
      floats([1], [1]),
      ints([1, 2], [0, 7]),
      ints([1, 3], [1, 0, -1]),
      floats([1], [10]),
    ],
    attrs: { op: 'steer', dims: [2, 3, 1] },
    out: [[1, 2, 3, 1]],
    bound: 'exact',
    expect: [[1, 2, 3, 14, 5, 16]],
  }),
  buildCase('direction', 'a masked vector keeps its NaN, its neighbour is projected', {
    inputs: [floats([1, 2, 1, 2], [nan, 1, 3, 4]), floats([2], [0, 1]), ints([1, 2], [0, 1]), null, null],
    attrs: { op: 'project_out', dims: [2, 1, 2] },
    out: [[1, 2, 1, 2]],
    bound: 'exact',
    expect: [[nan, 1, 3, 0]],
  }),
];

const edges: ConformanceCase[] = [
  ...widths.flatMap((m) =>
    [0, 1, 3].map((heads) =>
      buildCase('edge_read', `width ${m}, ${heads === 0 ? 'a reader without heads' : `${heads} heads`}`, {
        inputs: [
          random(`edge/x/${m}`, [2, 3, m]),
          random(`edge/d0/${m}`, [2, 3, m]),
          random(`edge/d1/${m}`, [2, 3, m]),
          random(`edge/mask/${heads}`, [2, Math.max(1, heads), 2]),
        ],
        attrs: { heads },
        out: [heads === 0 ? [2, 3, m] : [2, 3, heads, m]],
        bound: 'exact',
      }),
    ),
  ),
  ...lengths.map((pos) =>
    buildCase('edge_read', `${pos} positions`, {
      inputs: [
        random(`edge/pos/${pos}`, [1, pos, 4]),
        random(`edge/pos/d/${pos}`, [1, pos, 4]),
        floats([1, 2, 1], [1, 0]),
      ],
      attrs: { heads: 2 },
      out: [[1, pos, 2, 4]],
      bound: 'exact',
    }),
  ),
  buildCase('edge_read', 'a mask of 0 (or −0) leaves the sum untouched, be delta NaN', {
    inputs: [
      floats([1, 1, 2], [-0, 5]),
      floats([1, 1, 2], [nan, infinity]),
      floats([1, 1, 2], [0.25, 1]),
      floats([1, 3, 2], [0, 0, -0, 1, 1, 0]),
    ],
    attrs: { heads: 3 },
    out: [[1, 1, 3, 2]],
    bound: 'exact',
    expect: [[-0, 5, 0.25, 6, nan, infinity]],
  }),
  buildCase('edge_read', 'writers are added in order, each step fused', {
    inputs: [
      withEntries(random('edge/order', [1, 1, 2]), { 0: 2 ** 24, 1: -(1 + 2 ** -11) }),
      floats([1, 1, 2], [1, 1 + 2 ** -12]),
      floats([1, 1, 2], [-(2 ** 24), 0]),
      floats([1, 1, 2], [1 + 2 ** -12, 1]),
    ],
    attrs: { heads: 0 },
    out: [[1, 1, 2]],
    bound: 'exact',
    rounded: true,
    expect: [[2 ** 24 + 2 - 2 ** 24, 2 ** -24]],
  }),
  buildCase('edge_read', 'no writers: every head sees x', {
    inputs: [floats([1, 1, 2], [1, -0]), floats([1, 2, 0], [])],
    attrs: { heads: 2 },
    out: [[1, 1, 2, 2]],
    bound: 'exact',
    expect: [[1, -0, 1, -0]],
  }),
];

export const editCases: readonly ConformanceCase[] = [...edits, ...directions, ...edges];
