import { intTensor } from '../../tensor/index.ts';
import type { ConformanceCase } from '../conformance.ts';
import { fusedAttention, givenRotation, rotation, softmaxRows, sumOfTerms } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, widths, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: hidden } = Number;

const angles = (half: number) => {
  const angle = Array.from({ length: 16 * half }, (_, i) => Math.floor(i / half) / 100 ** ((i % half) / half));
  return [floats([16, half], angle.map(Math.cos)), floats([16, half], angle.map(Math.sin))];
};
const turned = { allowed: rotation, because: '3u·(|a·cos| + |b·sin|): two products, one sum' };

const given = { ...turned, allowed: givenRotation };

const rotaries: ConformanceCase[] = (['half', 'adjacent'] as const).flatMap((layout) => [
  ...[
    { dims: 2, width: 2 },
    { dims: 8, width: 8 },
    { dims: 16, width: 20 },
    { dims: 64, width: 64 },
    { dims: 64, width: 65 },
  ].map(({ dims, width }) =>
    buildCase('rotary', `${layout}, ${dims} of ${width} entries`, {
      inputs: [random(`rotary/${dims}/${width}`, [2, 5, 3, width]), randomInts(`rotary/pos/${dims}`, [2, 5], 16)],
      params: angles(dims / 2),
      attrs: { layout, dims },
      out: [[2, 5, 3, width]],
      bound: turned,
      sameBits: true,
    }),
  ),
  ...lengths.map((pos) =>
    buildCase('rotary', `${layout}, ${pos} positions`, {
      inputs: [random(`rotary/long/${pos}`, [1, pos, 2, 6]), randomInts(`rotary/long/pos/${pos}`, [1, pos], 16)],
      params: angles(2),
      attrs: { layout, dims: 4 },
      out: [[1, pos, 2, 6]],
      bound: turned,
      sameBits: true,
    }),
  ),
  ...lengths.map((pos) =>
    buildCase('rotate', `${layout}, ${pos} tokens with waves of their own`, {
      inputs: [
        random(`rotate/${pos}`, [2, pos, 3, 7]),
        random(`rotate/cos/${pos}`, [2, pos, 3]),
        random(`rotate/sin/${pos}`, [2, pos, 3]),
      ],
      attrs: { layout },
      out: [[2, pos, 3, 7]],
      bound: given,
      sameBits: true,
    }),
  ),
  buildCase('rotate', `${layout}, turned back`, {
    inputs: [random('rotate/back', [2, 5, 3, 9]), random('rotate/cos', [2, 5, 4]), random('rotate/sin', [2, 5, 4])],
    attrs: { layout, inverse: true },
    out: [[2, 5, 3, 9]],
    bound: given,
    sameBits: true,
  }),
  buildCase('rotate', `${layout}: each token turns by its own waves; what is left of the head is copied`, {
    inputs: [floats([1, 2, 1, 3], [1, 2, nan, 1, 2, -0]), floats([1, 2, 1], [0, 1]), floats([1, 2, 1], [1, 0])],
    attrs: { layout },
    out: [[1, 2, 1, 3]],
    bound: 'exact',
    expect: [[-2, 1, nan, 1, 2, -0]],
  }),
  ...[-1, 16].map((position) =>
    buildCase('rotary', `${layout}, position ${position} of a table of 16 is an error`, {
      inputs: [random('rotary/outside', [1, 1, 1, 4]), ints([1, 1], [position])],
      params: angles(2),
      attrs: { layout, dims: 4 },
      out: [[1, 1, 1, 4]],
      bound: 'exact',
      fails: 'out_of_range',
    }),
  ),
  buildCase('rotary', `${layout}: a quarter turn takes (a, b) to (−b, a); what is left of the head is copied`, {
    inputs: [floats([1, 1, 1, 6], [1, 2, 3, 4, nan, 2 ** -149]), ints([1, 1], [1])],
    params: [floats([2, 2], [1, 1, 0, 0]), floats([2, 2], [0, 0, 1, 1])],
    attrs: { layout, dims: 4 },
    out: [[1, 1, 1, 6]],
    bound: 'exact',
    expect: [layout === 'half' ? [-3, -4, 1, 2, nan, 2 ** -149] : [-2, 1, -4, 3, nan, 2 ** -149]],
  }),
]);

const scoreBound = (d: number) => ({ allowed: sumOfTerms(d + 1), because: '(d + 1)·u·scale·Σ|q·k|' });

const scoreCases: ConformanceCase[] = [
  ...widths.map((d) =>
    buildCase('scores', `heads of width ${d}`, {
      inputs: [random(`scores/q/${d}`, [2, 5, 2, d]), random(`scores/k/${d}`, [2, 5, 2, d]), null],
      attrs: { scale: 1 / Math.sqrt(d), causal: true },
      out: [[2, 2, 5, 5]],
      bound: scoreBound(d),
      sameBits: true,
    }),
  ),
  ...lengths.flatMap((pos) =>
    [true, false].map((causal) =>
      buildCase('scores', `${pos} positions, ${causal ? 'causal' : 'both ways'}`, {
        inputs: [random(`scores/q/pos/${pos}`, [1, pos, 2, 3]), random(`scores/k/pos/${pos}`, [1, pos, 2, 3]), null],
        attrs: { scale: 0.3, causal },
        out: [[1, 2, pos, pos]],
        bound: scoreBound(3),
        sameBits: true,
      }),
    ),
  ),
  ...[1, 2, 3].map((kvHeads) =>
    buildCase('scores', `6 heads read ${kvHeads} key heads`, {
      inputs: [random('scores/grouped', [2, 4, 6, 8]), random(`scores/grouped/${kvHeads}`, [2, 4, kvHeads, 8]), null],
      attrs: { scale: 1, causal: true },
      out: [[2, 6, 4, 4]],
      bound: scoreBound(8),
      sameBits: true,
    }),
  ),
  buildCase('scores', 'head h reads key head ⌊h·Hkv/H⌋', {
    inputs: [floats([1, 1, 4, 1], [1, 1, 1, 1]), floats([1, 1, 2, 1], [10, 20]), null],
    attrs: { scale: 0.5, causal: true },
    out: [[1, 4, 1, 1]],
    bound: 'exact',
    expect: [[5, 5, 10, 10]],
  }),
  buildCase('scores', 'a masked or later key is −∞ and is not read, be it NaN', {
    inputs: [floats([1, 3, 1, 1], [1, 2, 3]), floats([1, 3, 1, 1], [nan, 5, 7]), ints([1, 3], [0, 1, 1])],
    attrs: { scale: 1, causal: true },
    out: [[1, 1, 3, 3]],
    bound: 'exact',
    expect: [[hidden, hidden, hidden, hidden, 10, hidden, hidden, 15, 21]],
  }),
];

const softBound = { allowed: softmaxRows, because: 'p·u·(|x − max| + Σp|x − max| + ⌈n/32⌉ + 16)' };
const soft = (fact: string, shape: readonly number[], values: readonly number[], expect: readonly number[]) =>
  buildCase('softmax', fact, { inputs: [floats(shape, values)], out: [shape], bound: softBound, expect: [expect] });

const softmaxCases: ConformanceCase[] = [
  ...lengths.map((n) =>
    buildCase('softmax', `rows of ${n}`, {
      inputs: [random(`softmax/${n}`, [3, n], 4)],
      out: [[3, n]],
      bound: softBound,
    }),
  ),
  buildCase('softmax', 'no rows', { inputs: [floats([0, 4], [])], out: [[0, 4]], bound: softBound, expect: [[]] }),
  buildCase('softmax', 'a row of 1000 with a wide spread', {
    inputs: [random('softmax/wide', [2, 1000], 30)],
    out: [[2, 1000]],
    bound: softBound,
  }),
  soft(
    'ties share',
    [2, 4],
    [3, 3, 3, 3, -1e30, -1e30, -1e30, -1e30],
    [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25],
  ),
  {
    ...soft('logarithms of weights give the weights', [1, 3], [0, Math.log(2), Math.log(5)], [0.125, 0.25, 0.625]),
    rounded: true,
  },
  soft('huge entries do not overflow', [1, 3], [3e38, 3e38, -3e38], [0.5, 0.5, 0]),
  soft('−∞ gets exactly nothing', [1, 3], [hidden, 0, hidden], [0, 1, 0]),
  soft(
    'a row that is all −∞ is all zero, and its neighbours are not',
    [2, 2],
    [hidden, hidden, 1, 1],
    [0, 0, 0.5, 0.5],
  ),
  soft('a single −∞ is zero, not NaN', [1, 1], [hidden], [0]),
  soft('NaN fills its row', [2, 3], [1, nan, 2, 0, 0, hidden], [nan, nan, nan, 0.5, 0.5, 0]),
  soft('NaN among −∞ is not taken for a masked row', [1, 3], [hidden, nan, hidden], [nan, nan, nan]),
  soft('+∞ fills its row with NaN', [1, 2], [infinity, 1], [nan, nan]),
  soft(
    'subnormals and zeros of both signs count as zero',
    [1, 4],
    [0, -0, 2 ** -149, -(2 ** -149)],
    [0.25, 0.25, 0.25, 0.25],
  ),
];

const mixBound = (pos: number) => ({ allowed: sumOfTerms(pos), because: 'P·u·Σ|terms|: one chain over keys' });

const mixCases: ConformanceCase[] = [
  ...lengths.map((pos) =>
    buildCase('mix', `${pos} positions`, {
      inputs: [random(`mix/p/${pos}`, [1, 2, pos, pos]), random(`mix/v/${pos}`, [1, pos, 2, 5])],
      out: [[1, pos, 2, 5]],
      bound: mixBound(pos),
      sameBits: true,
    }),
  ),
  ...widths.map((d) =>
    buildCase('mix', `heads of width ${d}, 4 reading 2`, {
      inputs: [random(`mix/p/d/${d}`, [2, 4, 6, 6]), random(`mix/v/d/${d}`, [2, 6, 2, d])],
      out: [[2, 6, 4, d]],
      bound: mixBound(6),
      sameBits: true,
    }),
  ),
  buildCase('mix', 'a weight of 0 reads nothing, not even NaN or ∞; −0 is 0', {
    inputs: [floats([1, 1, 2, 2], [1, 0, -0, 0.5]), floats([1, 2, 1, 2], [2, infinity, nan, 4])],
    out: [[1, 2, 1, 2]],
    bound: 'exact',
    expect: [[2, infinity, nan, 2]],
  }),
  buildCase('mix', 'head h reads value head ⌊h·Hkv/H⌋', {
    inputs: [floats([1, 4, 1, 1], [1, 2, 3, 4]), floats([1, 1, 2, 1], [10, 100])],
    out: [[1, 1, 4, 1]],
    bound: 'exact',
    expect: [[10, 20, 300, 400]],
  }),
  buildCase('mix', 'keys are added in ascending order', {
    inputs: [floats([1, 1, 3, 3], [1, 1, 1, 0, 1, 1, 1, 0, 1]), floats([1, 3, 1, 1], [2 ** 24, 1, -(2 ** 24)])],
    out: [[1, 3, 1, 1]],
    bound: 'exact',
    rounded: true,
    expect: [[0, -(2 ** 24) + 1, 0]],
  }),
];

const fused = { allowed: fusedAttention, because: 'errors of scores, softmax and mix, one after the other' };
const qkv = (name: string, rows: number, pos: number, heads: number, kvHeads: number, d: number) => [
  random(`${name}/q`, [rows, pos, heads, d]),
  random(`${name}/k`, [rows, pos, kvHeads, d]),
  random(`${name}/v`, [rows, pos, kvHeads, d]),
];

const attentionCases: ConformanceCase[] = [
  ...lengths.flatMap((pos) =>
    [true, false].map((causal) =>
      buildCase('attention', `${pos} positions, ${causal ? 'causal' : 'both ways'}, everything wanted`, {
        inputs: [...qkv(`attention/${pos}`, 1, pos, 2, 2, 4), null],
        attrs: { scale: 0.5, causal },
        out: [
          [1, pos, 2, 4],
          [1, 2, pos, pos],
          [1, 2, pos, pos],
        ],
        bound: fused,
      }),
    ),
  ),
  ...widths.map((d) =>
    buildCase('attention', `heads of width ${d}, 4 reading 2, only z wanted`, {
      inputs: [...qkv(`attention/d/${d}`, 2, 9, 4, 2, d), null],
      attrs: { scale: 1 / Math.sqrt(d), causal: true },
      out: [[2, 9, 4, d], null, null],
      bound: fused,
    }),
  ),
  buildCase('attention', 'left padding: keys of padding are not read, rows of padding read nothing', {
    inputs: [
      ...qkv('attention/padded', 2, 5, 2, 1, 3).map((value) => withEntries(value, { 0: nan, 1: infinity })),
      intTensor([2, 5], Int32Array.from([0, 0, 1, 1, 1, 1, 1, 1, 1, 1])),
    ],
    attrs: { scale: 1, causal: true },
    out: [
      [2, 5, 2, 3],
      [2, 2, 5, 5],
      [2, 2, 5, 5],
    ],
    bound: fused,
  }),
  buildCase('attention', 'a fully masked example gives zeros', {
    inputs: [...qkv('attention/dark', 1, 2, 1, 1, 2), ints([1, 2], [0, 0])],
    attrs: { scale: 1, causal: false },
    out: [
      [1, 2, 1, 2],
      [1, 1, 2, 2],
      [1, 1, 2, 2],
    ],
    bound: 'exact',
    expect: [
      [0, 0, 0, 0],
      [hidden, hidden, hidden, hidden],
      [0, 0, 0, 0],
    ],
  }),
  buildCase('attention', 'the first position of a causal head returns its own value', {
    inputs: [floats([1, 2, 1, 1], [3, 0]), floats([1, 2, 1, 1], [5, 5]), floats([1, 2, 1, 1], [7, 9]), null],
    attrs: { scale: 1, causal: true },
    out: [[1, 2, 1, 1], null, [1, 1, 2, 2]],
    bound: 'exact',
    expect: [[7, 8], null, [1, 0, 0.5, 0.5]],
  }),
];

export const mixingCases: readonly ConformanceCase[] = [
  ...rotaries,
  ...scoreCases,
  ...softmaxCases,
  ...mixCases,
  ...attentionCases,
];
