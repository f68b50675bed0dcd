import { type Tensor, tensor } from '../../tensor/index.ts';
import type { Bound, ConformanceCase } from '../conformance.ts';
import { u } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const doubles = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensor(shape, Float64Array.from(values));

function gram(fact: string, n: number, p: number, q: number | null, before?: Tensor): ConformanceCase {
  return buildCase('gram', fact, {
    inputs: [
      random(`gram/x/${n}/${p}`, [n, p]),
      q === null ? null : random(`gram/y/${n}/${q}`, [n, q]),
      before ?? null,
    ],
    out: [[p, q ?? p]],
    bound: 'exact',
  });
}

/** One input feature, so that each latent is a multiple of it. */
const statistics: ConformanceCase[] = [
  ...lengths.flatMap((tokens) =>
    (['none', 'relu'] as const).map((activation) =>
      buildCase('latent_statistics', `${tokens} tokens, ${activation}`, {
        inputs: [random(`statistics/x/${tokens}`, [tokens, 5]), ints([tokens], new Array(tokens).fill(1)), null],
        params: [random('statistics/W', [5, 140]), random('statistics/b', [140])],
        attrs: { activation, examples: 3 },
        out: [
          [140, 2],
          [140, 26],
          [140, 3],
          [140, 3],
        ],
        bound: 'exact',
      }),
    ),
  ),
  buildCase('latent_statistics', 'by hand: sums go on, one token does not count, of equals the first stays', {
    inputs: [floats([5, 1], [2, 0.5, 100, 2, -1]), ints([5], [1, 1, 0, 1, 1]), doubles([1, 2], [10, 20])],
    params: [floats([1, 1], [1]), null, null],
    attrs: { activation: 'relu', examples: 2 },
    out: [
      [1, 2],
      [1, 26],
      [1, 2],
      [1, 2],
    ],
    bound: 'exact',
    expect: [
      [14.5, 28.25],
      // 0.5 = 2^−1 lies in bin 12, 2 in bin 14.
      [3, ...Array.from({ length: 25 }, (_, bin) => (bin === 12 ? 1 : bin === 14 ? 2 : 0))],
      [2, 2],
      [0, 3],
    ],
  }),
];

const grams: ConformanceCase[] = [
  ...lengths.map((n) => gram(`${n} rows`, n, 9, 7)),
  ...lengths.map((p) => gram(`${p} columns with themselves`, 20, p, null)),
  gram('tiles on both sides, more rows than one stretch', 300, 97, 193),
  gram('tiles above the diagonal are mirrored', 300, 193, null),
  gram('goes on from earlier rows', 12, 3, 2, doubles([3, 2], [0.1, -0.2, 1e300, 0.3, 0, 1e-300])),
  buildCase('gram', 'of two rows by hand', {
    inputs: [floats([2, 2], [1, 2, 3, 4]), null, doubles([2, 2], [100, 200, 0, 300])],
    out: [[2, 2]],
    bound: 'exact',
    // Below the diagonal stands the mirror image, whatever `before` holds there.
    expect: [[110, 214, 214, 320]],
  }),
  buildCase('gram', 'keeps in float64 what float32 would lose', {
    inputs: [floats([3, 1], [2 ** 13, 1, 2 ** 12]), floats([3, 1], [2 ** 13, 1, -(2 ** 14)]), null],
    out: [[1, 1]],
    bound: 'exact',
    expect: [[1]],
  }),
  buildCase('gram', 'special numbers come as they come', {
    inputs: [floats([2, 4], [1, nan, infinity, 2 ** -149, 0, 1, -1, 0]), null, null],
    out: [[4, 4]],
    bound: 'exact',
    expect: [
      [
        1,
        nan,
        infinity,
        2 ** -149,
        nan,
        nan,
        nan,
        nan,
        infinity,
        nan,
        infinity,
        infinity,
        2 ** -149,
        nan,
        infinity,
      ].concat(2 ** -298),
    ],
  }),
];

const near: Bound = {
  allowed: (_call, oracle) => [new Float64Array(oracle[0]?.data.length ?? 0).fill(4 * u), null],
  because: '4u: two columns rounded to float32, the chain in float64, the result rounded',
};

function correlate(fact: string, [n, p, q, k]: readonly [number, number, number, number], absolute: boolean) {
  return buildCase('correlate_top_k', fact, {
    inputs: [random(`correlate/a/${n}/${p}`, [n, p]), random(`correlate/b/${n}/${q}`, [n, q]), null, null],
    attrs: { k, absolute },
    out: [
      [p, k],
      [p, k],
    ],
    bound: near,
    sameBits: true,
  });
}

/** Columns (1, 2, 3), (3, 2, 1), (1, 1, 1), (2, 4, 6), (1, 0, 1). */
const ramp = floats([3, 5], [1, 3, 1, 2, 1, 2, 2, 1, 4, 0, 3, 1, 1, 6, 1]);
const out2 = [
  [2, 3],
  [2, 3],
] as const;
const pair = floats([3, 2], [1, 5, 2, 5, 3, 5]);

const correlations: ConformanceCase[] = [
  ...lengths.slice(1).map((n) => correlate(`${n} rows`, [n, 3, 4, 2], false)),
  ...lengths.slice(1).map((q) => correlate(`${q} candidates`, [30, 5, q, 3], q % 2 === 0)),
  ...lengths.map((p) => correlate(`${p} columns`, [30, p, 9, 9], p % 2 === 1)),
  correlate('tiles on both sides, more rows than one stretch', [300, 97, 200, 4], true),
  correlate('nothing asked for', [5, 2, 3, 0], false),
  buildCase('correlate_top_k', 'ties go by index, constant columns get nothing and are nobody’s', {
    inputs: [pair, ramp, null, null],
    attrs: { k: 3, absolute: false },
    out: out2,
    bound: near,
    sameBits: true,
    expect: [
      [1, 1, 0, 0, 0, 0],
      [0, 3, 4, -1, -1, -1],
    ],
  }),
  buildCase('correlate_top_k', 'by size the opposite comes as early', {
    inputs: [pair, ramp, null, null],
    attrs: { k: 3, absolute: true, first: 10 },
    out: out2,
    bound: near,
    sameBits: true,
    expect: [
      [1, -1, 1, 0, 0, 0],
      [10, 11, 13, -1, -1, -1],
    ],
  }),
  buildCase('correlate_top_k', 'goes on from other columns; what is no correlation is left out', {
    inputs: [pair, ramp, floats([2, 3], [1, 0.5, 0, nan, 2, 0.25]), ints([2, 3], [7, 2, -1, 3, 4, 9])],
    attrs: { k: 3, absolute: false, first: 10 },
    out: out2,
    bound: near,
    sameBits: true,
    expect: [
      [1, 1, 1, 0.25, 0, 0],
      [7, 10, 13, 9, -1, -1],
    ],
  }),
  buildCase('correlate_top_k', 'a column that is not finite is nobody’s', {
    inputs: [pair, withEntries(ramp, { 0: nan, 5: 9, 3: infinity }), null, null],
    attrs: { k: 3, absolute: true },
    out: out2,
    bound: near,
    sameBits: true,
    expect: [
      [-1, 0, 0, 0, 0, 0],
      [1, 4, -1, -1, -1, -1],
    ],
  }),
  buildCase('correlate_top_k', 'a mean a million times the spread costs nothing', {
    inputs: [floats([4, 1], [1e6, 1e6 + 1, 1e6 + 2, 1e6 + 3]), floats([4, 1], [0, 1, 2, 3]), null, null],
    attrs: { k: 1, absolute: false },
    out: [
      [1, 1],
      [1, 1],
    ],
    bound: near,
    sameBits: true,
    expect: [[1], [0]],
  }),
];

export const doubleCases: readonly ConformanceCase[] = [...grams, ...correlations, ...statistics];
