import type { ConformanceCase } from '../conformance.ts';
import { fusedAttention, softened, sumOfTerms } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, specials } from './build-case.ts';
import { attentionSlope } from './gradient-bounds.ts';

// What may lie between the products of queries with keys and their softmax: a window, a cap, and what is added for distances.

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: hidden } = Number;

const soft = { allowed: softened, because: '8u·|out| + (cap + 1)·2^-149' };
const fused = { allowed: fusedAttention, because: 'scores, softmax and mix one after the other' };

const sizes = [
  { pos: 5, keys: 5, window: 2 },
  { pos: 3, keys: 9, window: 4 },
  { pos: 9, keys: 4, window: 3 },
  { pos: 70, keys: 70, window: 64 },
  { pos: 140, keys: 150, window: 20 },
  { pos: 6, keys: 6, window: 100 },
] as const;

const windows: ConformanceCase[] = sizes.flatMap(({ pos, keys, window }) =>
  [true, false].flatMap((causal) => {
    const name = `a window of ${window}, ${pos} queries, ${keys} keys, ${causal ? 'causal' : 'both ways'}`;
    const [q, ct] = [random(`window/q/${name}`, [2, pos, 4, 5]), random(`window/ct/${name}`, [2, pos, 4, 6])];
    const [k, v] = [random(`window/k/${name}`, [2, keys, 2, 5]), random(`window/v/${name}`, [2, keys, 2, 6])];
    const mask = randomInts(`window/mask/${name}`, [2, keys], 3);
    const attrs = { scale: 0.4, causal, window };
    const square = [2, 4, pos, keys];
    const pattern = floats(square, [...random(`window/p/${name}`, square).data].map(Math.abs));
    return [
      buildCase('scores', name, {
        inputs: [q, k, mask],
        attrs,
        out: [square],
        bound: { allowed: sumOfTerms(6), because: '(d + 1)·u·scale·Σ|q·k|' },
        sameBits: true,
      }),
      buildCase('attention', name, { inputs: [q, k, v, mask], attrs, out: [ct.shape, square, square], bound: fused }),
      buildCase('attention_grad', name, {
        inputs: [q, k, v, pattern, ct],
        attrs,
        out: [q.shape, k.shape, v.shape],
        bound: attentionSlope,
      }),
    ];
  }),
);

const chains: ConformanceCase[] = [
  { pos: 5, keys: 5, window: 0 },
  { pos: 3, keys: 70, window: 0 },
  { pos: 9, keys: 4, window: 2 },
  { pos: 66, keys: 66, window: 40 },
].flatMap(({ pos, keys, window }) =>
  ['cap', 'bias', 'alibi', 'cap, bias and alibi'].flatMap((what) => {
    const name = `${what}, ${pos} queries, ${keys} keys, window ${window}`;
    const [q, ct] = [random(`chain/q/${name}`, [2, pos, 4, 5], 2), random(`chain/ct/${name}`, [2, pos, 4, 6])];
    const [k, v] = [random(`chain/k/${name}`, [2, keys, 2, 5]), random(`chain/v/${name}`, [2, keys, 2, 6])];
    const square = [2, 4, pos, keys];
    const attrs = { scale: 0.8, causal: true, window, ...(what.includes('cap') ? { cap: 1.5 } : {}) };
    const biased = what.includes('bias');
    const sloped = what.includes('alibi');
    const weights = [...random(`chain/p/${name}`, square).data].map((x) => (Math.abs(x) < 0.3 ? 0 : Math.abs(x)));
    return [
      buildCase('attention', name, {
        inputs: [
          ...[q, k, v, randomInts(`chain/mask/${name}`, [2, keys], 3)],
          biased ? randomInts(`chain/buckets/${name}`, [pos, keys], 6) : null,
          sloped ? randomInts(`chain/positions/${name}`, [2, keys], 20) : null,
        ],
        params: [biased ? random('chain/table', [6, 4]) : null, sloped ? random('chain/slopes', [4], 0.3) : null],
        attrs,
        out: [ct.shape, square, square],
        bound: fused,
      }),
      ...(what === 'cap'
        ? [
            buildCase('attention_grad', `${name}, with the scores' cotangent`, {
              inputs: [q, k, v, floats(square, weights), ct],
              attrs,
              out: [q.shape, k.shape, v.shape, square],
              bound: attentionSlope,
            }),
          ]
        : []),
    ];
  }),
);

const ones = (pos: number) => floats([1, pos, 1, 1], Array(pos).fill(1));
const windowBy = (fact: string, attrs: { causal: boolean; window: number }, expect: readonly number[]) =>
  buildCase('scores', fact, {
    inputs: [ones(expect.length / 4), floats([1, 4, 1, 1], [1, 2, 3, 4]), null],
    attrs: { scale: 1, ...attrs },
    out: [[1, 1, expect.length / 4, 4]],
    bound: 'exact',
    expect: [expect],
  });

export const scoreCases: readonly ConformanceCase[] = [
  ...windows,
  ...chains,
  windowBy('within a causal window of 2 a query reads its own key and the one before', { causal: true, window: 2 }, [
    ...[1, hidden, hidden, hidden, 1, 2, hidden, hidden],
    ...[hidden, 2, 3, hidden, hidden, hidden, 3, 4],
  ]),
  windowBy('within a window of 2 both ways also the one behind', { causal: false, window: 2 }, [
    ...[1, 2, hidden, hidden, 1, 2, 3, hidden],
    ...[hidden, 2, 3, 4, hidden, hidden, 3, 4],
  ]),
  windowBy('of two queries on four keys the first stands at the third', { causal: true, window: 2 }, [
    ...[hidden, 2, 3, hidden, hidden, hidden, 3, 4],
  ]),
  windowBy('a window of 0 is none', { causal: true, window: 0 }, [1, 2, 3, 4]),
  ...lengths.flatMap((n) => [
    buildCase('soft_cap', `${n} entries`, {
      inputs: [random(`cap/${n}`, [3, n], 4)],
      attrs: { cap: 2.5 },
      out: [[3, n]],
      bound: soft,
    }),
    buildCase('soft_cap_grad', `${n} entries`, {
      inputs: [random(`cap/out/${n}`, [3, n]), random(`cap/ct/${n}`, [3, n])],
      attrs: { cap: 5 },
      out: [[3, n]],
      bound: 'exact',
    }),
    buildCase('add_alibi', `${n} keys`, {
      inputs: [random(`alibi/${n}`, [2, 3, 4, n]), randomInts(`alibi/positions/${n}`, [2, n], 70)],
      params: [random('alibi/slopes', [3])],
      out: [[2, 3, 4, n]],
      bound: 'exact',
    }),
    ...[4, 8].map((groups) =>
      buildCase('add_alibi_grad', `${n} keys, ${groups} groups`, {
        inputs: [randomInts(`alibi/positions/${n}`, [2, n], 70), random(`alibi/ct/${n}`, [8, 3, 4, n])],
        out: [[groups, 3]],
        bound: { allowed: sumOfTerms(32 * n + 8), because: 'terms·u·Σ|position·ct|' },
        sameBits: true,
      }),
    ),
  ]),
  buildCase('soft_cap', 'what is special stays within the cap; −∞ and NaN stay', {
    inputs: [floats([specials.length], [...specials])],
    attrs: { cap: 0.5 },
    out: [[specials.length]],
    bound: soft,
  }),
  buildCase('soft_cap', 'a score far out is the cap, a masked one masked, and 0 is 0', {
    inputs: [floats([7], [100, -100, infinity, hidden, nan, 0, -0])],
    attrs: { cap: 2 },
    out: [[7]],
    bound: soft,
    expect: [[2, -2, 2, hidden, nan, 0, -0]],
  }),
  buildCase('soft_cap_grad', 'at the cap nothing passes, at 0 everything, and a masked score reads no cotangent', {
    inputs: [floats([6], [2, -2, 0, 1, hidden, nan]), floats([6], [3, 3, 3, 4, nan, 1])],
    attrs: { cap: 2 },
    out: [[6]],
    bound: 'exact',
    expect: [[0, 0, 3, 3, 0, nan]],
  }),
  buildCase('add_alibi', 'each head has its slope, each row its positions; a masked score stays masked', {
    inputs: [floats([2, 2, 1, 2], [1, hidden, 1, 2, 0, 0, hidden, nan]), ints([2, 2], [3, 4, 0, 5])],
    params: [floats([2], [10, -1])],
    out: [[2, 2, 1, 2]],
    bound: 'exact',
    expect: [[31, hidden, -2, -2, 0, 50, hidden, nan]],
  }),
  buildCase('add_alibi_grad', 'by hand: each position times what came back from it', {
    inputs: [ints([1, 2], [3, 5]), floats([2, 1, 1, 2], [1, 2, 10, 20])],
    out: [[2, 1]],
    bound: 'exact',
    expect: [[13, 130]],
  }),
];
