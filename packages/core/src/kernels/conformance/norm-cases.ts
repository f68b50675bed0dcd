import type { ConformanceCase } from '../conformance.ts';
import { normRows } from './bounds.ts';
import { buildCase, floats, random, widths, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const kinds = ['layer', 'rms'] as const;
const eps = 1e-5;
const bound = { allowed: normRows, because: 'two passes by the fixed tree; the error of the mean enters squared' };

const byWidth: ConformanceCase[] = kinds.flatMap((kind) =>
  [...widths, 768].flatMap((m) => {
    const x = random(`norm/${kind}/${m}`, [3, m], 2);
    const scale = floats([3, 1], [0.5, 3, 1.25]);
    const params = [random(`norm/w/${m}`, [m]), random(`norm/b/${m}`, [m])];
    return [
      buildCase('norm_scale', `${kind}, width ${m}`, {
        inputs: [x],
        attrs: { kind, eps },
        out: [[3, 1]],
        bound,
        sameBits: true,
      }),
      buildCase('normalize', `${kind}, width ${m}`, {
        inputs: [x, scale],
        attrs: { kind },
        out: [[3, m]],
        bound,
        sameBits: true,
      }),
      buildCase('norm', `${kind}, width ${m}`, {
        inputs: [x],
        params,
        attrs: { kind, eps },
        out: [
          [3, m],
          [3, 1],
          [3, m],
        ],
        bound,
        sameBits: true,
      }),
    ];
  }),
);

const single: ConformanceCase[] = kinds.flatMap((kind) => [
  buildCase('norm', `${kind} without gain and bias, and nothing but the output wanted`, {
    inputs: [random(`norm/bare/${kind}`, [2, 65])],
    params: [null, null],
    attrs: { kind, eps },
    out: [[2, 65], null, null],
    bound,
    sameBits: true,
  }),
  buildCase('norm', `${kind} of no rows`, {
    inputs: [random(`norm/none/${kind}`, [0, 8])],
    params: [null, null],
    attrs: { kind, eps },
    out: [
      [0, 8],
      [0, 1],
      [0, 8],
    ],
    bound,
    expect: [[], [], []],
  }),
  buildCase('norm', `${kind}: NaN and infinities stay in their rows`, {
    inputs: [withEntries(random(`norm/special/${kind}`, [3, 40]), { 3: nan, 50: infinity })],
    params: [null, null],
    attrs: { kind, eps },
    out: [
      [3, 40],
      [3, 1],
      [3, 40],
    ],
    bound,
    sameBits: true,
  }),
  buildCase('norm', `${kind} of zeros is zero, divided by √eps`, {
    inputs: [floats([1, 4], [0, 0, 0, 0])],
    params: [null, null],
    attrs: { kind, eps: 2 ** -16 },
    out: [
      [1, 4],
      [1, 1],
      [1, 4],
    ],
    bound: 'exact',
    expect: [[0, 0, 0, 0], [2 ** -8], [0, 0, 0, 0]],
  }),
]);

export const normCases: readonly ConformanceCase[] = [
  ...byWidth,
  ...single,
  buildCase('norm', 'layer of (1, 3): mean 2, variance 1', {
    inputs: [floats([1, 2], [1, 3])],
    params: [floats([2], [2, 4]), floats([2], [10, 20])],
    attrs: { kind: 'layer', eps: 0 },
    out: [
      [1, 2],
      [1, 1],
      [1, 2],
    ],
    bound: 'exact',
    expect: [[8, 24], [1], [-1, 1]],
  }),
  buildCase('norm', 'rms of (3, 4, 0, 0): root mean square 2.5', {
    inputs: [floats([1, 4], [3, 4, 0, 0])],
    params: [null, null],
    attrs: { kind: 'rms', eps: 0 },
    out: [
      [1, 4],
      [1, 1],
      [1, 4],
    ],
    bound: { allowed: normRows, because: '1.2 and 1.6 are not float32 numbers' },
    expect: [[1.2, 1.6, 0, 0], [2.5], [1.2, 1.6, 0, 0]],
  }),
  buildCase('normalize', 'divides; a product with the reciprocal would round 5/3 up', {
    inputs: [floats([1, 2], [5, -3]), floats([1, 1], [3])],
    attrs: { kind: 'rms' },
    out: [[1, 2]],
    bound: 'exact',
    rounded: true,
    expect: [[5 / 3, -1]],
  }),
  buildCase('norm_scale', 'layer: a mean of 10,000 does not drown a deviation of 1', {
    inputs: [
      floats(
        [1, 64],
        Array.from({ length: 64 }, (_, i) => 10_000 + (i % 2 === 0 ? 1 : -1)),
      ),
    ],
    attrs: { kind: 'layer', eps: 0 },
    out: [[1, 1]],
    bound: 'exact',
    expect: [[1]],
  }),
  buildCase('norm_scale', 'rms: squares of subnormals vanish, eps remains', {
    inputs: [floats([1, 3], [2 ** -149, -(2 ** -140), 2 ** -126])],
    attrs: { kind: 'rms', eps: 2 ** -20 },
    out: [[1, 1]],
    bound: 'exact',
    expect: [[2 ** -10]],
  }),
];
