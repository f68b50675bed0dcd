import type { Tensor } from '../../tensor/index.ts';
import type { ConformanceCase } from '../conformance.ts';
import { finishedProduct, sumOfTerms } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, widths, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const chain = (K: number) => ({ allowed: sumOfTerms(K + 1), because: '(K + 1)·u·Σ|terms|: one chain and the bias' });

function linear(fact: string, rows: number, K: number, N: number, biased = true): ConformanceCase {
  const params: (Tensor | null)[] = [
    random(`linear/W/${K}/${N}`, [K, N]),
    biased ? random(`linear/b/${N}`, [N]) : null,
  ];
  return buildCase('linear', fact, {
    inputs: [random(`linear/x/${rows}/${K}`, [1, rows, K])],
    params,
    out: [[1, rows, N]],
    bound: chain(K),
    sameBits: true,
  });
}

const finished = (K: number) => ({
  allowed: finishedProduct(K),
  because: '(K + 3)·u·Σ|terms|, times 1.13 and 8u·Σ|terms| more where there is a function',
});

const epilogues: ConformanceCase[] = [
  ...(['gelu_tanh', 'gelu_erf', 'silu', 'relu'] as const).flatMap((fn) =>
    widths.map((K) =>
      buildCase('linear', `${fn} of a product, K = ${K}`, {
        inputs: [random(`linear/fn/x/${K}`, [3, K]), random('linear/fn/onto', [3, 33])],
        params: [random(`linear/fn/W/${K}`, [K, 33]), random('linear/fn/b', [33])],
        attrs: { fn, alpha: 0.75, beta: -1.25 },
        out: [[3, 33]],
        bound: finished(K),
        ...(fn === 'relu' ? { sameBits: true as const } : {}),
      }),
    ),
  ),
  ...lengths.map((rows) =>
    buildCase('linear', `${rows} rows onto what stands there`, {
      inputs: [random(`linear/onto/x/${rows}`, [rows, 9]), random(`linear/onto/${rows}`, [rows, 9])],
      params: [random('linear/onto/W', [9, 9]), null],
      attrs: { beta: 1 },
      out: [[rows, 9]],
      bound: finished(9),
      sameBits: true,
    }),
  ),
  buildCase('linear', 'the bias is added first, alpha multiplies both, beta · onto is fused, relu is last', {
    // 3 · (2 + 1) rounded, then −0.5 · 20 onto it: −1; relu leaves 0. Beside it 3 · (2 + 2) − 10 = 2.
    inputs: [floats([1, 1], [2]), floats([1, 2], [20, 20])],
    params: [floats([1, 2], [1, 1]), floats([2], [1, 2])],
    attrs: { alpha: 3, beta: -0.5, fn: 'relu' },
    out: [[1, 2]],
    bound: 'exact',
    expect: [[0, 2]],
  }),
  buildCase('linear', 'beta · onto is not rounded before it is added', {
    inputs: [floats([1, 1], [-1]), floats([1, 1], [1 + 2 ** -12])],
    params: [floats([1, 1], [1 + 2 ** -11]), null],
    attrs: { beta: 1 + 2 ** -12 },
    out: [[1, 1]],
    bound: 'exact',
    expect: [[2 ** -24]],
  }),
  buildCase('linear', 'with beta 0 what stands there is not read', {
    inputs: [floats([1, 1], [2]), floats([1, 1], [nan])],
    params: [floats([1, 1], [3]), null],
    attrs: { alpha: 1, beta: 0 },
    out: [[1, 1]],
    bound: 'exact',
    expect: [[6]],
  }),
  buildCase('linear', 'through the transposed weight too', {
    inputs: [random('linear/back/x', [4, 9]), random('linear/back/onto', [4, 17])],
    params: [random('linear/back/W', [17, 9]), random('linear/back/b', [17])],
    attrs: { transposed: true, alpha: -2, beta: 0.125, fn: 'relu' },
    out: [[4, 17]],
    bound: finished(9),
    sameBits: true,
  }),
];

const linears: ConformanceCase[] = [
  ...widths.map((K) => linear(`K = ${K}`, 5, K, 9)),
  ...widths.map((N) => linear(`N = ${N}`, 5, 9, N)),
  ...lengths.map((rows) => linear(`${rows} rows`, rows, 9, 9, false)),
  linear('one row of a matrix of 65 × 129', 1, 65, 129),
  linear('a chain of 1025 over more than one block of k', 3, 1025, 50),
  buildCase('linear', 'trailing sizes of both sides are read as one', {
    inputs: [random('linear/heads', [2, 3, 4, 5])],
    params: [random('linear/heads/W', [20, 6]), null],
    out: [[2, 3, 2, 3]],
    bound: chain(20),
    sameBits: true,
  }),
  buildCase('linear', 'products are fused onto the chain from k = 0 up', {
    // Each row adds 2^24, 1, −2^24 in another order: only where 1 comes last does it survive.
    inputs: [floats([3, 3], [2 ** 24, 1, -(2 ** 24), 2 ** 24, -(2 ** 24), 1, 1, 2 ** 24, -(2 ** 24)])],
    params: [floats([3, 1], [1, 1, 1]), null],
    out: [[3, 1]],
    bound: 'exact',
    rounded: true,
    expect: [[0, 1, 0]],
  }),
  buildCase('linear', 'a product is not rounded before it is added', {
    inputs: [floats([1, 2], [1 + 2 ** -11, 1 + 2 ** -12])],
    params: [floats([2, 1], [-1, 1 + 2 ** -12]), null],
    out: [[1, 1]],
    bound: 'exact',
    expect: [[2 ** -24]],
  }),
  buildCase('linear', 'the bias is added after the chain', {
    inputs: [floats([1, 2], [2 ** 24, -(2 ** 24)])],
    params: [floats([2, 1], [1, 1]), floats([1], [1])],
    out: [[1, 1]],
    bound: 'exact',
    expect: [[1]],
  }),
  buildCase('linear', 'zeros are multiplied too: 0 · ∞ is NaN, and only in its own column', {
    inputs: [floats([1, 2], [0, 1])],
    params: [floats([2, 3], [infinity, 1, nan, 1, 1, 1]), null],
    out: [[1, 3]],
    bound: 'exact',
    expect: [[nan, 1, nan]],
  }),
  buildCase('linear', 'a row of NaN leaves its neighbours alone', {
    inputs: [withEntries(random('linear/nan', [9, 16]), { 70: nan, 17: infinity })],
    params: [random('linear/nan/W', [16, 20]), null],
    out: [[9, 20]],
    bound: chain(16),
    sameBits: true,
  }),
  buildCase('linear', 'subnormal products are kept', {
    inputs: [floats([1, 2], [2 ** -75, 2 ** -74])],
    params: [floats([2, 1], [2 ** -74, 2 ** -74]), null],
    out: [[1, 1]],
    bound: 'exact',
    expect: [[3 * 2 ** -149]],
  }),
];

const byHead: ConformanceCase[] = widths.flatMap((d) => [
  buildCase('head_linear', `heads of width ${d}`, {
    inputs: [random(`head_linear/x/${d}`, [2, 3, 4, 9])],
    params: [random(`head_linear/W/${d}`, [9, 4 * d]), random(`head_linear/b/${d}`, [4 * d])],
    out: [[2, 3, 4, d]],
    bound: chain(9),
    sameBits: true,
  }),
  buildCase('head_linear', `inputs of width ${d}`, {
    inputs: [random(`head_linear/in/${d}`, [1, 2, 3, d])],
    params: [random(`head_linear/in/W/${d}`, [d, 15]), null],
    out: [[1, 2, 3, 5]],
    bound: chain(d),
    sameBits: true,
  }),
  buildCase('head_result', `heads of width ${d}`, {
    inputs: [random(`head_result/z/${d}`, [2, 3, 4, d])],
    params: [random(`head_result/W/${d}`, [4 * d, 9])],
    out: [[2, 3, 4, 9]],
    bound: chain(d),
    sameBits: true,
  }),
  buildCase('head_result', `head 2 alone, of width ${d}`, {
    inputs: [random(`head_result/z/${d}`, [2, 3, 4, d])],
    params: [random(`head_result/W/${d}`, [4 * d, 9])],
    attrs: { head: 2 },
    out: [[2, 3, 9]],
    bound: chain(d),
    sameBits: true,
  }),
]);

const headAnswers: ConformanceCase[] = [
  buildCase('head_linear', 'each head reads its own input and its own columns', {
    inputs: [floats([1, 1, 2, 1], [10, 100])],
    params: [floats([1, 4], [1, 2, 3, 4]), floats([4], [0.5, 0, 0, 0.25])],
    out: [[1, 1, 2, 2]],
    bound: 'exact',
    expect: [[10.5, 20, 300, 400.25]],
  }),
  buildCase('head_result', 'each head writes through its own rows', {
    inputs: [floats([1, 1, 2, 1], [10, 100])],
    params: [floats([2, 2], [1, 2, 3, 4])],
    out: [[1, 1, 2, 2]],
    bound: 'exact',
    expect: [[10, 20, 300, 400]],
  }),
  buildCase('head_result', 'a dead head with NaN harms no other', {
    inputs: [floats([1, 1, 2, 1], [nan, 100])],
    params: [floats([2, 2], [1, 2, 3, 4])],
    out: [[1, 1, 2, 2]],
    bound: 'exact',
    expect: [[nan, nan, 300, 400]],
  }),
  buildCase('head_linear', 'no rows', {
    inputs: [random('head_linear/none', [0, 3, 2, 4])],
    params: [random('head_linear/none/W', [4, 6]), null],
    out: [[0, 3, 2, 3]],
    bound: 'exact',
    expect: [[]],
  }),
];

const selected: ConformanceCase[] = [
  ...widths.map((m) =>
    buildCase('columns', `width ${m}`, {
      inputs: [random(`columns/x/${m}`, [2, 3, m]), randomInts(`columns/ids/${m}`, [2, 4], 100)],
      params: [random(`columns/W/${m}`, [m, 100]), random('columns/b', [100])],
      out: [[2, 3, 4]],
      bound: chain(m),
      sameBits: true,
    }),
  ),
  ...lengths.map((c) =>
    buildCase('columns', `${c} ids`, {
      inputs: [random('columns/few', [2, 1, 7]), randomInts(`columns/few/${c}`, [2, c], 50)],
      params: [random('columns/few/W', [7, 50]), null],
      out: [[2, 1, c]],
      bound: chain(7),
      sameBits: true,
    }),
  ),
  buildCase('columns', 'each row of the batch asks for its own ids, repeats too', {
    inputs: [floats([2, 1, 1], [1, 10]), ints([2, 2], [2, 2, 0, 1])],
    params: [floats([1, 3], [1, 2, 3]), floats([3], [0, 0, 0.5])],
    out: [[2, 1, 2]],
    bound: 'exact',
    expect: [[3.5, 3.5, 10, 20]],
  }),
  ...[-1, 3].map((id) =>
    buildCase('columns', `the id ${id} of a vocabulary of 3 is an error`, {
      inputs: [random('columns/small', [1, 1, 2]), ints([1, 1], [id])],
      params: [random('columns/small/W', [2, 3]), null],
      out: [[1, 1, 1]],
      bound: 'exact',
      fails: 'out_of_range',
    }),
  ),
];

const dots: ConformanceCase[] = [
  ...[...widths, 33, 96, 768].map((n) =>
    buildCase('project_dot', `length ${n}`, {
      inputs: [random(`project_dot/x/${n}`, [2, 3, n]), random(`project_dot/dir/${n}`, [n])],
      out: [[2, 3]],
      bound: { allowed: sumOfTerms(Math.ceil(n / 32) + 5), because: '(⌈n/32⌉ + 5)·u·Σ|terms|: 32 lanes and a tree' },
      sameBits: true,
    }),
  ),
  ...[...widths, 33].map((n) =>
    buildCase('pair_dots', `length ${n}`, {
      inputs: [
        random(`pair_dots/x/${n}`, [4, 3, 2, n]),
        random(`pair_dots/a/${n}`, [2, 3, 9, n]),
        random(`pair_dots/b/${n}`, [4, 3, n]),
      ],
      out: [[4, 10, 2]],
      bound: {
        allowed: sumOfTerms(3 * (Math.ceil(n / 32) + 6)),
        because: '(⌈n/32⌉ + 5)·u·Σ|terms| for each of three positions, and the rounding of their sum',
      },
      sameBits: true,
    }),
  ),
  buildCase('pair_dots', 'rows of the others serve again, and x may have one vector', {
    inputs: [floats([2, 2, 1], [1, 2, 3, 4]), floats([1, 2, 2, 1], [1, 10, 100, 1000])],
    out: [[2, 2, 1]],
    bound: 'exact',
    expect: [[1 + 200, 10 + 2000, 3 + 400, 30 + 4000]],
  }),
  buildCase('pair_dots', 'positions are added in float64', {
    inputs: [floats([1, 3, 1], [2 ** 24, 1, -(2 ** 24)]), floats([1, 3, 1], [1, 1, 1])],
    out: [[1, 1, 1]],
    bound: 'exact',
    expect: [[1]],
  }),
  buildCase('pair_dots', 'no positions: sums of nothing', {
    inputs: [random('pair_dots/none', [2, 0, 3, 4]), random('pair_dots/none/a', [1, 0, 2, 4])],
    out: [[2, 2, 3]],
    bound: 'exact',
    expect: [new Array<number>(12).fill(0)],
  }),
  buildCase('project_dot', 'no rows', {
    inputs: [random('project_dot/none', [0, 5]), random('project_dot/none/dir', [5])],
    out: [[0]],
    bound: 'exact',
    expect: [[]],
  }),
  buildCase('project_dot', 'lane i takes the elements i, i + 32, …', {
    // 2^24 and −2^24 meet in lane 0 before the 1 of lane 1 joins; a running sum from the left would lose it.
    inputs: [
      floats(
        [1, 33],
        Array.from({ length: 33 }, (_, i) => ({ 0: 2 ** 24, 1: 1, 32: -(2 ** 24) })[i] ?? 0),
      ),
      floats([33], new Array<number>(33).fill(1)),
    ],
    out: [[1]],
    bound: 'exact',
    expect: [[1]],
  }),
  buildCase('project_dot', 'there are 32 lanes, not fewer and not more', {
    // First row: 1 has lane 16 to itself. Second row: 2^24, 1 and −2^24 share lane 0, where the 1 is lost.
    inputs: [
      floats(
        [2, 65],
        Array.from(
          { length: 130 },
          (_, i) => ({ 0: 2 ** 24, 16: 1, 32: -(2 ** 24), 65: 2 ** 24, 97: 1, 129: -(2 ** 24) })[i] ?? 0,
        ),
      ),
      floats([65], new Array<number>(65).fill(1)),
    ],
    out: [[2]],
    bound: 'exact',
    rounded: true,
    expect: [[1, 0]],
  }),
  buildCase('project_dot', 'lanes are paired at distance 16 first', {
    inputs: [
      floats(
        [1, 32],
        Array.from({ length: 32 }, (_, i) => ({ 0: 2 ** 24, 1: 1, 16: -(2 ** 24) })[i] ?? 0),
      ),
      floats([32], new Array<number>(32).fill(1)),
    ],
    out: [[1]],
    bound: 'exact',
    expect: [[1]],
  }),
];

export const productCases: readonly ConformanceCase[] = [
  ...linears,
  ...epilogues,
  ...byHead,
  ...headAnswers,
  ...selected,
  ...dots,
];
