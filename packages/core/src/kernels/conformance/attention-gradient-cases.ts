import type { ConformanceCase } from '../conformance.ts';
import { fusedAttention, rotation, sumOfTerms } from './bounds.ts';
import { buildCase, floats, ints, random, randomInts } from './build-case.ts';
import { attentionSlope } from './gradient-bounds.ts';

// Attention whose keys are not its queries (cached keys, another sequence), and the way back through it.

const fused = { allowed: fusedAttention, because: 'scores, softmax and mix one after the other' };

const { NaN: nan, NEGATIVE_INFINITY: hidden } = Number;

const sizes = [
  { pos: 1, keys: 1, heads: 1, kvHeads: 1, width: 1, value: 1 },
  { pos: 5, keys: 5, heads: 4, kvHeads: 2, width: 7, value: 7 },
  { pos: 3, keys: 70, heads: 2, kvHeads: 1, width: 16, value: 9 },
  { pos: 70, keys: 70, heads: 3, kvHeads: 3, width: 8, value: 8 },
  { pos: 9, keys: 4, heads: 2, kvHeads: 2, width: 5, value: 6 },
  { pos: 130, keys: 131, heads: 2, kvHeads: 1, width: 33, value: 16 },
] as const;

const patternOf = (name: string, rows: number, heads: number, pos: number, keys: number, causal: boolean) => {
  const { data } = random(name, [rows, heads, pos, keys]);
  const weights = [...data].map((x, at) => {
    const [query, key] = [Math.floor(at / keys) % pos, at % keys];
    return (causal && key > query + keys - pos) || Math.abs(x) < 0.2 ? 0 : Math.abs(x) / keys;
  });
  return floats([rows, heads, pos, keys], weights);
};

const cases: ConformanceCase[] = sizes.flatMap(({ pos, keys, heads, kvHeads, width, value }) => {
  const name = `${heads} heads over ${kvHeads}, ${pos} queries, ${keys} keys`;
  const q = random(`ag/q/${name}`, [2, pos, heads, width]);
  const k = random(`ag/k/${name}`, [2, keys, kvHeads, width]);
  const v = random(`ag/v/${name}`, [2, keys, kvHeads, value]);
  const ct = random(`ag/ct/${name}`, [2, pos, heads, value]);
  return [
    buildCase('mix_transposed', name, {
      inputs: [patternOf(`mt/${name}`, 2, heads, pos, keys, false), q],
      out: [[2, keys, kvHeads, width]],
      bound: { allowed: sumOfTerms((heads / kvHeads) * pos), because: 'heads of a group · P·u·Σ|pattern·x|' },
      sameBits: true,
    }),
    buildCase('mix', `other keys, ${name}`, {
      inputs: [patternOf(`mix/keys/${name}`, 2, heads, pos, keys, false), v],
      out: [[2, pos, heads, value]],
      bound: { allowed: sumOfTerms(keys), because: 'S·u·Σ|pattern·v|' },
      sameBits: true,
    }),
    ...[true, false].flatMap((causal) => [
      buildCase('scores', `other keys, ${name}, ${causal ? 'causal' : 'both ways'}`, {
        inputs: [q, k, keys > 5 ? randomInts(`scores/keys/${name}`, [2, keys], 2) : null],
        attrs: { scale: 0.4, causal },
        out: [[2, heads, pos, keys]],
        bound: { allowed: sumOfTerms(width + 1), because: '(d + 1)·u·scale·Σ|q·k|' },
        sameBits: true,
      }),
      buildCase('attention', `other keys, ${name}, ${causal ? 'causal' : 'both ways'}`, {
        inputs: [q, k, v, null],
        attrs: { scale: 0.4, causal },
        out: [
          [2, pos, heads, value],
          [2, heads, pos, keys],
          [2, heads, pos, keys],
        ],
        bound: fused,
      }),
      buildCase('attention_grad', `${name}, ${causal ? 'causal' : 'both ways'}`, {
        inputs: [q, k, v, patternOf(`ag/pattern/${name}`, 2, heads, pos, keys, causal), ct],
        attrs: { scale: 0.4, causal },
        out: [q.shape, k.shape, v.shape],
        bound: attentionSlope,
      }),
    ]),
    buildCase('attention_grad', `only the keys, ${name}`, {
      inputs: [q, k, v, patternOf(`ag/only/${name}`, 2, heads, pos, keys, true), ct],
      attrs: { scale: 1, causal: true },
      out: [null, k.shape, null],
      bound: attentionSlope,
    }),
  ];
});

const angle = (half: number) => {
  const turn = Array.from({ length: 16 * half }, (_, i) => Math.floor(i / half) / 100 ** ((i % half) / half));
  return [floats([16, half], turn.map(Math.cos)), floats([16, half], turn.map(Math.sin))];
};

export const attentionGradientCases: readonly ConformanceCase[] = [
  ...cases,
  buildCase('scores', 'of two queries on four keys the first reads three', {
    inputs: [floats([1, 2, 1, 1], [1, 10]), floats([1, 4, 1, 1], [1, 2, 3, 4]), null],
    attrs: { scale: 1, causal: true },
    out: [[1, 1, 2, 4]],
    bound: 'exact',
    expect: [[1, 2, 3, hidden, 10, 20, 30, 40]],
  }),
  buildCase('attention', 'of three queries on two keys the first reads nothing', {
    inputs: [floats([1, 3, 1, 1], [1, 0, 0]), floats([1, 2, 1, 1], [1, 1]), floats([1, 2, 1, 1], [4, 8]), null],
    attrs: { scale: 1, causal: true },
    out: [
      [1, 3, 1, 1],
      [1, 1, 3, 2],
      [1, 1, 3, 2],
    ],
    bound: fused,
    expect: [
      [0, 4, 6],
      [hidden, hidden, 0, hidden, 0, 0],
      [0, 0, 1, 0, 0.5, 0.5],
    ],
  }),
  buildCase('mix_transposed', 'a weight of 0 reads nothing, be it NaN', {
    inputs: [floats([1, 1, 2, 2], [0, 0.5, 1, 0]), floats([1, 2, 1, 1], [nan, 3])],
    out: [[1, 2, 1, 1]],
    bound: { allowed: sumOfTerms(2), because: 'P·u·Σ|pattern·x|' },
    expect: [[3, nan]],
  }),
  buildCase('attention_grad', 'what a causal pattern holds above the diagonal counts as 0', {
    inputs: [
      floats([1, 2, 1, 1], [1, 1]),
      floats([1, 2, 1, 1], [1, 1]),
      floats([1, 2, 1, 1], [2, 3]),
      floats([1, 1, 2, 2], [1, 7, 0.5, 0.5]),
      floats([1, 2, 1, 1], [1, 4]),
    ],
    attrs: { scale: 1, causal: true },
    out: [
      [1, 2, 1, 1],
      [1, 2, 1, 1],
      [1, 2, 1, 1],
    ],
    bound: attentionSlope,
    // Query 1: dp = (8, 12), mean 10, ds = (−1, 1). Query 0 has one key, so its ds is 0.
    expect: [
      [0, 0],
      [-1, 1],
      [3, 2],
    ],
  }),
  ...(['half', 'adjacent'] as const).map((layout) =>
    buildCase('rotary', `${layout}, turned back`, {
      inputs: [random(`rotary/back/${layout}`, [2, 5, 3, 9]), randomInts('rotary/back/pos', [2, 5], 16)],
      params: angle(4),
      attrs: { layout, dims: 8, inverse: true },
      out: [[2, 5, 3, 9]],
      bound: { allowed: rotation, because: '3u·(|a·cos| + |b·sin|): two products, one sum' },
      sameBits: true,
    }),
  ),
  buildCase('rotary', 'a quarter turn back takes (a, b) to (b, −a)', {
    inputs: [floats([1, 1, 1, 2], [3, 4]), ints([1, 1], [0])],
    params: [floats([1, 1], [0]), floats([1, 1], [1])],
    attrs: { layout: 'half', dims: 2, inverse: true },
    out: [[1, 1, 1, 2]],
    bound: 'exact',
    expect: [[4, -3]],
  }),
];
