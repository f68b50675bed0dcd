import type { ConformanceCase } from '../conformance.ts';
import { smoothActivation, tiny } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, specials, widths } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

const sums: ConformanceCase[] = [
  ...lengths.map((n) =>
    buildCase('sum', `three terms of ${n} entries`, {
      inputs: [random(`sum/a/${n}`, [n, 1]), random(`sum/b/${n}`, [n, 1], 1e-3), random(`sum/c/${n}`, [n, 1], 1e3)],
      out: [[n, 1]],
      bound: 'exact',
    }),
  ),
  buildCase('sum', 'terms are added from the left, each addition rounded', {
    inputs: [floats([2], [1, 2 ** 24]), floats([2], [2 ** 24, 1]), floats([2], [-(2 ** 24), 1])],
    out: [[2]],
    bound: 'exact',
    rounded: true,
    expect: [[0, 2 ** 24]],
  }),
  buildCase('sum', 'one term is a copy, to the sign of zero', {
    inputs: [floats([3], [-0, 2 ** -149, nan])],
    out: [[3]],
    bound: 'exact',
    expect: [[-0, 2 ** -149, nan]],
  }),
  buildCase('sum', 'opposite infinities give NaN, subnormals add exactly, −0 + −0 is −0', {
    inputs: [floats([4], [infinity, 2 ** -149, -0, -0]), floats([4], [-infinity, 2 ** -149, -0, 0])],
    out: [[4]],
    bound: 'exact',
    expect: [[nan, 2 ** -148, -0, 0]],
  }),
];

const pairs: ConformanceCase[] = (['mul', 'subtract'] as const).flatMap((kernel) => [
  ...lengths.map((n) =>
    buildCase(kernel, `${n} entries`, {
      inputs: [random(`${kernel}/a/${n}`, [1, n]), random(`${kernel}/b/${n}`, [1, n])],
      out: [[1, n]],
      bound: 'exact',
    }),
  ),
  buildCase(kernel, 'every special value with every other', {
    inputs: [
      floats(
        [12, 12],
        specials.flatMap((a) => specials.map(() => a)),
      ),
      floats(
        [12, 12],
        specials.flatMap(() => [...specials]),
      ),
    ],
    out: [[12, 12]],
    bound: 'exact',
  }),
]);

const pairAnswers: ConformanceCase[] = [
  buildCase('mul', '0 · ∞ is NaN, halves of subnormals round to even, −0 keeps its sign', {
    inputs: [floats([4], [0, 2 ** -149, 3 * 2 ** -149, -0]), floats([4], [infinity, 0.5, 0.5, 5])],
    out: [[4]],
    bound: 'exact',
    expect: [[nan, 0, 2 ** -148, -0]],
  }),
  buildCase('subtract', '∞ − ∞ is NaN, x − x is +0', {
    inputs: [floats([3], [infinity, 3, -0]), floats([3], [infinity, 3, 0])],
    out: [[3]],
    bound: 'exact',
    expect: [[nan, 0, -0]],
  }),
];

const affines: ConformanceCase[] = [
  ...widths.flatMap((n) =>
    (
      [
        [true, true],
        [true, false],
        [false, true],
      ] as const
    ).map(([w, b]) =>
      buildCase('affine', `width ${n}, ${w && b ? 'gain and bias' : w ? 'gain only' : 'bias only'}`, {
        inputs: [random(`affine/x/${n}`, [3, n])],
        params: [w ? random(`affine/w/${n}`, [n]) : null, b ? random(`affine/b/${n}`, [n]) : null],
        out: [[3, n]],
        bound: 'exact',
      }),
    ),
  ),
  buildCase('affine', 'no rows', {
    inputs: [random('affine/none', [0, 8])],
    params: [random('affine/none/w', [8]), null],
    out: [[0, 8]],
    bound: 'exact',
    expect: [[]],
  }),
  buildCase('affine', 'the product is not rounded before the bias is added', {
    // (1 + 2^-12)² = 1 + 2^-11 + 2^-24: the last term is lost to anybody who rounds first.
    inputs: [floats([1, 1], [1 + 2 ** -12])],
    params: [floats([1], [1 + 2 ** -12]), floats([1], [-(1 + 2 ** -11)])],
    out: [[1, 1]],
    bound: 'exact',
    expect: [[2 ** -24]],
  }),
  buildCase('affine', 'NaN and infinities pass as IEEE says', {
    inputs: [floats([1, 3], [nan, infinity, infinity])],
    params: [floats([3], [0, 0, 2]), floats([3], [1, 1, -infinity])],
    out: [[1, 3]],
    bound: 'exact',
    expect: [[nan, nan, nan]],
  }),
];

const smooth = ['gelu_tanh', 'gelu_erf', 'silu'] as const;
const smoothBound = { allowed: smoothActivation, because: '8u·|x|: a factor in [0, 1.13] of a few roundings' };

const activations: ConformanceCase[] = [
  ...smooth.flatMap((fn) => [
    ...lengths.map((n) =>
      buildCase('activation', `${fn} of ${n} entries`, {
        inputs: [random(`activation/${fn}/${n}`, [n], 3)],
        attrs: { fn },
        out: [[n]],
        bound: smoothBound,
      }),
    ),
    buildCase('activation', `${fn} at zeros, subnormals, far tails, infinities and NaN`, {
      inputs: [floats([10], [0, -0, 2 ** -149, -(2 ** -130), 30, -30, 3e38, nan, infinity, -infinity])],
      attrs: { fn },
      out: [[10]],
      bound: smoothBound,
    }),
    buildCase('activation', `${fn} on a fine grid through its bend`, {
      inputs: [
        floats(
          [2001],
          Array.from({ length: 2001 }, (_, i) => (i - 1000) / 100),
        ),
      ],
      attrs: { fn },
      out: [[2001]],
      bound: smoothBound,
    }),
  ]),
  buildCase('activation', 'gelu_erf at published values of Φ', {
    inputs: [floats([4], [1, -1, 2, -3])],
    attrs: { fn: 'gelu_erf' },
    out: [[4]],
    bound: smoothBound,
    expect: [[0.8413447460685429, -0.15865525393145707, 1.9544997361036416, -0.00404969409489031]],
  }),
  buildCase('activation', 'gelu_tanh at values of its formula', {
    inputs: [floats([3], [1, -1, 2])],
    attrs: { fn: 'gelu_tanh' },
    out: [[3]],
    bound: smoothBound,
    expect: [[0.8411919906082768, -0.15880800939172324, 1.954597694087775]],
  }),
  buildCase('activation', 'silu at values of the logistic function', {
    inputs: [floats([3], [1, -1, 5])],
    attrs: { fn: 'silu' },
    out: [[3]],
    bound: smoothBound,
    expect: [[0.7310585786300049, -0.2689414213699951, 4.966535745378576]],
  }),
  ...lengths.map((n) =>
    buildCase('activation', `relu of ${n} entries`, {
      inputs: [random(`activation/relu/${n}`, [n])],
      attrs: { fn: 'relu' },
      out: [[n]],
      bound: 'exact',
    }),
  ),
  buildCase('activation', 'relu keeps NaN and subnormals, and gives +0 for −0', {
    inputs: [floats([7], [nan, infinity, -infinity, -0, tiny, -tiny, 2])],
    attrs: { fn: 'relu' },
    out: [[7]],
    bound: 'exact',
    expect: [[nan, infinity, 0, 0, tiny, 0, 2]],
  }),
];

const copies: ConformanceCase[] = [
  ...lengths.map((n) =>
    buildCase('embed', `${n} tokens`, {
      inputs: [randomInts(`embed/ids/${n}`, [1, n], 11)],
      params: [random('embed/W', [11, 7])],
      out: [[1, n, 7]],
      bound: 'exact',
    }),
  ),
  ...widths.flatMap((m) =>
    [false, true].map((transposed) =>
      buildCase('embed', `width ${m}${transposed ? ' from a transposed table' : ''}`, {
        inputs: [randomInts(`embed/wide/${m}`, [2, 3], 65)],
        params: [random(`embed/wide/W/${m}`, transposed ? [m, 65] : [65, m])],
        attrs: { transposed },
        out: [[2, 3, m]],
        bound: 'exact',
      }),
    ),
  ),
  buildCase('embed', 'rows come out as they stand, NaN and −0 too', {
    inputs: [ints([1, 3], [2, 0, 2])],
    params: [floats([3, 2], [1, -0, 3, 4, nan, 2 ** -149])],
    out: [[1, 3, 2]],
    bound: 'exact',
    expect: [[nan, 2 ** -149, 1, -0, nan, 2 ** -149]],
  }),
  buildCase('embed', 'of a transposed table the columns come out', {
    inputs: [ints([1, 2], [2, 0])],
    params: [floats([2, 3], [1, 2, 3, 10, 20, 30])],
    attrs: { transposed: true },
    out: [[1, 2, 2]],
    bound: 'exact',
    expect: [[3, 30, 1, 10]],
  }),
  ...[-1, 3].map((id) =>
    buildCase('embed', `the id ${id} of a vocabulary of 3 is an error`, {
      inputs: [ints([1, 2], [0, id])],
      params: [random('embed/small', [3, 2])],
      out: [[1, 2, 2]],
      bound: 'exact',
      fails: 'out_of_range',
    }),
  ),
  ...lengths.map((n) =>
    buildCase('repeat', `two rows of ${n} entries, three times`, {
      inputs: [random(`repeat/${n}`, [2, n])],
      out: [[6, n]],
      bound: 'exact',
    }),
  ),
  buildCase('reshape', 'entries keep their order, their bits and the sign of zero', {
    inputs: [floats([1, 2, 2, 3], [...specials])],
    out: [[1, 2, 6]],
    bound: 'exact',
    expect: [[...specials]],
  }),
  ...lengths.map((n) =>
    buildCase('reshape', `${n} vectors of two heads`, {
      inputs: [random(`reshape/${n}`, [1, n, 10])],
      out: [[1, n, 2, 5]],
      bound: 'exact',
    }),
  ),
  buildCase('repeat', 'row r is row r mod B', {
    inputs: [floats([2, 1], [5, -0])],
    out: [[4, 1]],
    bound: 'exact',
    expect: [[5, -0, 5, -0]],
  }),
  ...widths.map((m) =>
    buildCase('gather_rows', `width ${m}`, {
      inputs: [random(`gather/${m}`, [2, 5, m]), randomInts(`gather/index/${m}`, [2, 3], 5)],
      out: [[2, 3, m]],
      bound: 'exact',
    }),
  ),
  ...lengths.map((groups) =>
    buildCase('gather_rows', `${groups} positions of each row`, {
      inputs: [random('gather/many', [2, 9, 4]), randomInts(`gather/many/${groups}`, [2, groups], 9)],
      out: [[2, groups, 4]],
      bound: 'exact',
    }),
  ),
  buildCase('gather_rows', 'each row of the batch has its own positions', {
    inputs: [floats([2, 2, 1], [1, 2, 3, 4]), ints([2, 2], [1, 1, 0, 1])],
    out: [[2, 2, 1]],
    bound: 'exact',
    expect: [[2, 2, 3, 4]],
  }),
  ...[-1, 2].map((position) =>
    buildCase('gather_rows', `position ${position} of 2 is an error`, {
      inputs: [random('gather/small', [1, 2, 3]), ints([1, 1], [position])],
      out: [[1, 1, 3]],
      bound: 'exact',
      fails: 'out_of_range',
    }),
  ),
  ...lengths.map((before) =>
    buildCase('concat_positions', `three positions behind ${before}`, {
      inputs: [random(`concat/past/${before}`, [2, before, 3, 4]), random('concat/x', [2, 3, 3, 4])],
      out: [[2, before + 3, 3, 4]],
      bound: 'exact',
    }),
  ),
  buildCase('concat_positions', 'each row keeps its own past', {
    inputs: [floats([2, 1, 1], [1, -0]), floats([2, 2, 1], [2, 3, 4, Number.NaN])],
    out: [[2, 3, 1]],
    bound: 'exact',
    expect: [[1, 2, 3, -0, 4, Number.NaN]],
  }),
];

export const elementwiseCases: readonly ConformanceCase[] = [
  ...sums,
  ...pairs,
  ...pairAnswers,
  ...affines,
  ...activations,
  ...copies,
];
