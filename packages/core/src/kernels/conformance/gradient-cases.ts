import type { Bound, ConformanceCase } from '../conformance.ts';
import { sumOfTerms } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, specials, widths } from './build-case.ts';
import { crossEntropySlope, smoothSlope } from './gradient-bounds.ts';

// The kernels that a backward is made of, and the few that dictionaries add. Sums are short enough that their bound tells
// a missing term; orders are held by `sameBits`, where the reference rounds as native code does.

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

const chain = (n: number, what: string): Bound => ({ allowed: sumOfTerms(n), because: `${n}·u·Σ|${what}|` });

const elementwise: ConformanceCase[] = [
  ...lengths.flatMap((n) => [
    buildCase('scale', `${n} entries`, {
      inputs: [random(`scale/${n}`, [2, n])],
      attrs: { factor: -0.3 },
      out: [[2, n]],
      bound: 'exact',
    }),
    buildCase('where_nonzero', `${n} entries`, {
      inputs: [random(`where/gate/${n}`, [n]), random(`where/${n}`, [n])],
      out: [[n]],
      bound: 'exact',
    }),
    buildCase('jump_relu', `rows of ${n}`, {
      inputs: [random(`jump/${n}`, [3, n])],
      params: [random(`jump/threshold/${n}`, [n], 0.5)],
      out: [[3, n]],
      bound: 'exact',
    }),
    buildCase('outer', `${n} entries of a direction`, {
      inputs: [random(`outer/${n}`, [2, 3]), random(`outer/dir/${n}`, [n])],
      out: [[2, 3, n]],
      bound: 'exact',
    }),
  ]),
  buildCase('scale', 'minus one keeps what is special', {
    inputs: [floats([5], [nan, infinity, 0, -0, 2 ** -149])],
    attrs: { factor: -1 },
    out: [[5]],
    bound: 'exact',
    expect: [[nan, -infinity, -0, 0, -(2 ** -149)]],
  }),
  buildCase('where_nonzero', 'behind a gate of 0 or −0 nothing is read, and a NaN gate is open', {
    inputs: [floats([5], [0, -0, 1, nan, -2]), floats([5], [nan, infinity, 3, 4, nan])],
    out: [[5]],
    bound: 'exact',
    expect: [[0, 0, 3, 4, nan]],
  }),
  buildCase('jump_relu', 'what equals its threshold is off, and NaN stays', {
    inputs: [floats([2, 4], [1, 2, nan, -3, 1.5, 2, -infinity, 0])],
    params: [floats([4], [1, 1.5, 0, -4])],
    out: [[2, 4]],
    bound: 'exact',
    expect: [[0, 2, nan, -3, 1.5, 2, 0, 0]],
  }),
  buildCase('top_k_mask', 'ties go to the smaller index; k may exceed the row', {
    inputs: [floats([2, 4], [1, 3, 3, -1, 0, -5, -5, -7])],
    attrs: { k: 2 },
    out: [[2, 4]],
    bound: 'exact',
    expect: [[0, 3, 3, 0, 0, -5, 0, 0]],
  }),
  ...[0, 1, 3, 65, 70].map((k) =>
    buildCase('top_k_mask', `${k} of 65`, {
      inputs: [random('top-k-mask', [4, 65])],
      attrs: { k },
      out: [[4, 65]],
      bound: 'exact',
    }),
  ),
  ...(['gelu_tanh', 'gelu_erf', 'silu'] as const).flatMap((fn) => [
    ...lengths.map((n) =>
      buildCase('activation_grad', `${fn}, ${n} entries`, {
        inputs: [random(`slope/${n}`, [n], 3), random(`slope/ct/${n}`, [n])],
        attrs: { fn },
        out: [[n]],
        bound: { allowed: smoothSlope, because: '16u·|ct|·(1 + |x|)' },
      }),
    ),
    buildCase('activation_grad', `${fn}: a half at 0, flat at −∞, straight at ∞, NaN stays`, {
      inputs: [floats([4], [0, -infinity, infinity, nan]), floats([4], [2, 3, 5, 7])],
      attrs: { fn },
      out: [[4]],
      bound: { allowed: smoothSlope, because: '16u·|ct|·(1 + |x|)' },
      expect: [[1, 0, 5, nan]],
    }),
  ]),
  buildCase('activation_grad', 'relu: 0 at 0 and below, where nothing is read', {
    inputs: [floats([5], [-1, 0, -0, 2, nan]), floats([5], [nan, infinity, nan, 3, 1])],
    attrs: { fn: 'relu' },
    out: [[5]],
    bound: 'exact',
    expect: [[0, 0, 0, 3, nan]],
  }),
];

const kinds = ['layer', 'rms'] as const;
const positive = (name: string, shape: readonly number[]) => {
  const { data } = random(name, shape);
  return floats(
    shape,
    [...data].map((x) => Math.abs(x) + 0.5),
  );
};

const norms: ConformanceCase[] = kinds.flatMap((kind) => [
  ...widths.flatMap((m) => {
    const x = random(`norm-grad/x/${m}`, [2, 3, m], 2);
    const scale = positive(`norm-grad/scale/${m}`, [2, 3, 1]);
    const ct = random(`norm-grad/ct/${m}`, [2, 3, m]);
    return [
      buildCase('normalize_grad', `${kind}, rows of ${m}`, {
        inputs: [scale, ct],
        attrs: { kind },
        out: [[2, 3, m]],
        bound: 'exact',
      }),
      buildCase('normalize_grad_scale', `${kind}, rows of ${m}`, {
        inputs: [x, scale, ct],
        attrs: { kind },
        out: [[2, 3, 1]],
        bound: 'exact',
      }),
      buildCase('norm_scale_grad', `${kind}, rows of ${m}`, {
        inputs: [x, scale, random(`norm-grad/s/${m}`, [2, 3, 1])],
        attrs: { kind },
        out: [[2, 3, m]],
        bound: 'exact',
      }),
      ...[true, false].map((gain) =>
        buildCase('norm_grad', `${kind}, rows of ${m}, ${gain ? 'with' : 'without'} gain`, {
          inputs: [x, scale, ct],
          params: [gain ? random(`norm-grad/w/${m}`, [m]) : null],
          attrs: { kind },
          out: [[2, 3, m]],
          bound: 'exact',
        }),
      ),
    ];
  }),
  buildCase('norm_grad', `${kind}: by hand`, {
    inputs: [floats([1, 2], [3, 1]), floats([1, 1], [2]), floats([1, 2], [4, 0])],
    params: [floats([2], [1, 5])],
    attrs: { kind },
    out: [[1, 2]],
    bound: 'exact',
    // layer: n = (½, −½), t = (4, 0), s = −1; (1, −1) + (1, −1)·(−1/4). rms: n = (3/2, ½), s = −3; (2, 0) + (3, 1)·(−3/4).
    expect: [kind === 'layer' ? [0.75, -0.75] : [-0.25, -0.75]],
  }),
]);

const rows: ConformanceCase[] = [
  ...lengths.map((n) =>
    buildCase('softmax_grad', `rows of ${n}`, {
      inputs: [positive(`softmax-grad/p/${n}`, [3, n]), random(`softmax-grad/ct/${n}`, [3, n])],
      out: [[3, n]],
      bound: 'exact',
    }),
  ),
  buildCase('softmax_grad', 'a weight of 0 is not read, and its row sums to 0', {
    inputs: [floats([1, 3], [0.25, 0, 0.75]), floats([1, 3], [4, nan, 8])],
    out: [[1, 3]],
    bound: 'exact',
    expect: [[-0.75, 0, 0.75]],
  }),
  ...[1, 7, 64, 65, 97].map((vocabulary) =>
    buildCase('cross_entropy_grad', `${vocabulary} tokens`, {
      inputs: [
        random(`ce-grad/${vocabulary}`, [2, 3, vocabulary], 3),
        randomInts(`ce-grad/ids/${vocabulary}`, [2, 3], vocabulary),
        random(`ce-grad/ct/${vocabulary}`, [2, 3]),
      ],
      out: [[2, 3, vocabulary]],
      bound: crossEntropySlope,
    }),
  ),
  buildCase('cross_entropy_grad', 'an ignored row is 0 whatever it holds', {
    inputs: [floats([1, 2, 2], [nan, infinity, 0, 0]), ints([1, 2], [-100, 1]), floats([1, 2], [nan, 4])],
    out: [[1, 2, 2]],
    bound: crossEntropySlope,
    expect: [[0, 0, 2, -2]],
  }),
  buildCase('cross_entropy_grad', 'an id outside the vocabulary is an error', {
    inputs: [floats([1, 1, 2], [0, 0]), ints([1, 1], [2]), floats([1, 1], [1])],
    out: [[1, 1, 2]],
    bound: 'exact',
    fails: 'out_of_range',
  }),
];

/** [cotangent groups, rows of the shorter input, rows of the longer one]: whole, shared by groups, and none. */
const groupings = [
  { groups: 1, own: 5, all: 5 },
  { groups: 3, own: 6, all: 6 },
  { groups: 3, own: 2, all: 6 },
  { groups: 6, own: 4, all: 12 },
  { groups: 2, own: 70, all: 140 },
  { groups: 2, own: 0, all: 0 },
] as const;

const weights: ConformanceCase[] = [
  ...groupings.flatMap(({ groups, own, all }) =>
    (
      [
        [1, 1],
        [7, 9],
        [33, 50],
      ] as const
    ).flatMap(([K, N]) => {
      const name = `${groups} groups of ${all} rows, ${own} of x, ${K} × ${N}`;
      return [
        buildCase('linear_grad_weight', name, {
          inputs: [random(`wgrad/x/${name}`, [own, 1, K]), random(`wgrad/ct/${name}`, [all, 1, N])],
          out: [[groups, K, N]],
          bound: chain(all, 'x·ct'),
          sameBits: true,
        }),
        buildCase('linear_grad_weight', `the shorter second, ${name}`, {
          inputs: [random(`wgrad/x2/${name}`, [all, 1, K]), random(`wgrad/ct2/${name}`, [own, 1, N])],
          out: [[groups, K, N]],
          bound: chain(all, 'x·ct'),
          sameBits: true,
        }),
      ];
    }),
  ),
  ...groupings.flatMap(({ groups, own, all }) => [
    buildCase('column_sum', `${groups} groups of ${all} rows alone, beside ${own}`, {
      inputs: [random(`column-sum/${groups}/${all}`, [all, 2, 19]), null],
      out: [[groups, 19]],
      bound: chain(2 * all, 'ct'),
      sameBits: true,
    }),
    buildCase('column_sum', `${groups} groups of ${all} rows times ${own} rows`, {
      inputs: [random(`column-sum/ct/${groups}/${all}`, [all, 2, 19]), random(`column-sum/x/${own}`, [own, 2, 19])],
      out: [[groups, 19]],
      bound: chain(2 * all, 'ct·x'),
      sameBits: true,
    }),
    buildCase('head_linear_grad_weight', `${groups} groups of ${all} rows, ${own} of x`, {
      inputs: [random(`hlgw/x/${own}/${all}`, [own, 2, 3, 7]), random(`hlgw/ct/${own}/${all}`, [all, 2, 3, 5])],
      out: [[groups, 7, 15]],
      bound: chain(2 * all, 'x·ct'),
      sameBits: true,
    }),
    buildCase('head_result_grad_weight', `${groups} groups of ${all} rows, ${own} of z`, {
      inputs: [random(`hrgw/z/${own}/${all}`, [own, 2, 3, 5]), random(`hrgw/ct/${own}/${all}`, [all, 2, 3, 11])],
      out: [[groups, 15, 11]],
      bound: chain(2 * all, 'z·ct'),
      sameBits: true,
    }),
    buildCase('head_result_grad_weight', `head 1 alone, ${groups} groups of ${all} rows, ${own} of z`, {
      inputs: [random(`hrgw/one/z/${own}/${all}`, [own, 2, 3, 5]), random(`hrgw/one/ct/${own}/${all}`, [all, 2, 11])],
      attrs: { head: 1 },
      out: [[groups, 15, 11]],
      bound: chain(2 * all, 'z·ct'),
      sameBits: true,
    }),
    ...[false, true].map((transposed) =>
      buildCase('embed_grad', `${groups} groups of ${all} rows, ${own} of ids${transposed ? ', transposed' : ''}`, {
        inputs: [randomInts(`eg/ids/${own}`, [own, 4], 6), random(`eg/ct/${own}/${all}`, [all, 4, 9])],
        attrs: transposed ? { transposed } : {},
        out: [transposed ? [groups, 9, 6] : [groups, 6, 9]],
        bound: chain(4 * all, 'ct'),
        sameBits: true,
      }),
    ),
    buildCase('columns_grad_weight', `${groups} groups of ${all} rows, ${own} of x`, {
      inputs: [
        random(`cgw/x/${own}/${all}`, [own, 2, 9]),
        randomInts(`cgw/ids/${own}`, [own, 3], 5),
        random(`cgw/ct/${own}/${all}`, [all, 2, 3]),
      ],
      out: [[groups, 9, 5]],
      bound: chain(6 * all, 'x·ct'),
    }),
    buildCase('columns_grad_bias', `${groups} groups of ${all} rows, ${own} of ids`, {
      inputs: [randomInts(`cgb/ids/${own}`, [own, 3], 5), random(`cgb/ct/${own}/${all}`, [all, 2, 3])],
      out: [[groups, 5]],
      bound: chain(6 * all, 'ct'),
    }),
  ]),
  ...lengths.map((keys) =>
    buildCase('add_bias', `${keys} keys`, {
      inputs: [random(`bias/${keys}`, [2, 3, 4, keys]), randomInts(`bias/buckets/${keys}`, [4, keys], 6)],
      params: [random('bias/table', [6, 3])],
      out: [[2, 3, 4, keys]],
      bound: 'exact',
    }),
  ),
  buildCase('add_bias', 'each head has its own column of the table; a masked score stays masked', {
    inputs: [floats([1, 2, 1, 2], [1, Number.NEGATIVE_INFINITY, 3, 4]), ints([1, 2], [1, 0])],
    params: [floats([2, 2], [10, 20, 30, 40])],
    out: [[1, 2, 1, 2]],
    bound: 'exact',
    expect: [[31, Number.NEGATIVE_INFINITY, 43, 24]],
  }),
  ...[-1, 2].map((bucket) =>
    buildCase('add_bias', `bucket ${bucket} of 2 is an error`, {
      inputs: [random('bias/one', [1, 1, 1, 1]), ints([1, 1], [bucket])],
      params: [random('bias/two', [2, 1])],
      out: [[1, 1, 1, 1]],
      bound: 'exact',
      fails: 'out_of_range',
    }),
  ),
  ...lengths.flatMap((keys) =>
    [1, 2].map((groups) =>
      buildCase('add_bias_grad', `${keys} keys, ${groups} groups`, {
        inputs: [randomInts(`bias/buckets/${keys}`, [4, keys], 6), random(`bias/ct/${keys}`, [4, 3, 4, keys])],
        out: [[groups, 6, 3]],
        bound: chain(16 * keys, 'ct'),
      }),
    ),
  ),
  buildCase('add_bias_grad', 'by hand: what shares a bucket is added, for each head', {
    inputs: [ints([1, 3], [1, 0, 1]), floats([1, 2, 1, 3], [1, 2, 3, 4, 5, 6])],
    out: [[1, 3, 2]],
    bound: chain(3, 'ct'),
    expect: [[2, 5, 4, 10, 0, 0]],
  }),
  buildCase('linear_grad_weight', 'by hand: an outer product a row, added', {
    inputs: [floats([2, 2], [1, 2, 3, 4]), floats([2, 1], [10, 100])],
    out: [[1, 2, 1]],
    bound: chain(2, 'x·ct'),
    expect: [[310, 420]],
  }),
  buildCase('embed_grad', 'a token that occurs twice gets both cotangents, one that does not gets 0', {
    inputs: [ints([1, 3], [2, 0, 2]), floats([1, 3, 1], [1, 5, 10])],
    out: [[1, 3, 1]],
    bound: chain(3, 'ct'),
    expect: [[5, 0, 11]],
  }),
  buildCase('embed_grad', 'an id outside the table is an error', {
    inputs: [ints([1, 1], [3]), floats([1, 1, 1], [1])],
    out: [[1, 3, 1]],
    bound: 'exact',
    fails: 'out_of_range',
  }),
];

const products: ConformanceCase[] = [
  ...(
    [
      [1, 1],
      [7, 9],
      [63, 65],
      [130, 48],
    ] as const
  ).flatMap(([K, N]) => [
    buildCase('linear', `transposed, ${K} × ${N}`, {
      inputs: [random(`linear-t/${K}/${N}`, [2, 3, N])],
      params: [random(`linear-t/W/${K}/${N}`, [K, N]), null],
      attrs: { transposed: true },
      out: [[2, 3, K]],
      bound: chain(N + 1, 'x·W'),
      sameBits: true,
    }),
    buildCase('linear', `transposed with a bias, ${K} × ${N}`, {
      inputs: [random(`linear-tb/${K}/${N}`, [5, 1, N])],
      params: [random(`linear-tb/W/${K}/${N}`, [K, N]), random(`linear-tb/b/${K}`, [K])],
      attrs: { transposed: true },
      out: [[5, 1, K]],
      bound: chain(N + 1, 'x·W'),
      sameBits: true,
    }),
    buildCase('head_linear', `transposed, ${K} × 3·${N}`, {
      inputs: [random(`head-linear-t/${K}/${N}`, [2, 3, 3, N])],
      params: [random(`head-linear-t/W/${K}/${N}`, [K, 3 * N]), null],
      attrs: { transposed: true },
      out: [[2, 3, 3, K]],
      bound: chain(N, 'x·W'),
      sameBits: true,
    }),
    buildCase('head_result_grad', `3 heads of ${K}, ${N} wide`, {
      inputs: [random(`hrg/${K}/${N}`, [2, 3, 3, N])],
      params: [random(`hrg/W/${K}/${N}`, [3 * K, N])],
      out: [[2, 3, 3, K]],
      bound: chain(N, 'ct·W'),
      sameBits: true,
    }),
    buildCase('head_result_grad', `head 2 of 3 alone, ${K}, ${N} wide`, {
      inputs: [random(`hrg/one/${K}/${N}`, [2, 3, N])],
      params: [random(`hrg/one/W/${K}/${N}`, [3 * K, N])],
      attrs: { head: 2 },
      out: [[2, 3, 3, K]],
      bound: chain(N, 'ct·W'),
      sameBits: true,
    }),
  ]),
  ...[1, 2, 5].map((count) =>
    buildCase('columns_grad', `${count} columns`, {
      inputs: [random(`columns-grad/${count}`, [3, 4, count]), randomInts(`columns-grad/ids/${count}`, [3, count], 11)],
      params: [random('columns-grad/W', [9, 11])],
      out: [[3, 4, 9]],
      bound: chain(count, 'ct·W'),
      sameBits: true,
    }),
  ),
  buildCase('columns_grad', 'an id outside the vocabulary is an error', {
    inputs: [floats([1, 1, 1], [1]), ints([1, 1], [4])],
    params: [floats([2, 4], specials.slice(0, 8))],
    out: [[1, 1, 2]],
    bound: 'exact',
    fails: 'out_of_range',
  }),
  buildCase('scatter_rows', 'rows of one place are added in order, the others are 0', {
    inputs: [floats([1, 3, 2], [1, 2, 10, 20, 100, 200]), ints([1, 3], [2, 0, 2])],
    out: [[1, 4, 2]],
    bound: 'exact',
    expect: [[10, 20, 0, 0, 101, 202, 0, 0]],
  }),
  ...[1, 5, 64].map((pos) =>
    buildCase('scatter_rows', `7 rows into ${pos} places of heads`, {
      inputs: [random(`scatter/${pos}`, [2, 7, 3, 5]), randomInts(`scatter/index/${pos}`, [2, 7], pos)],
      out: [[2, pos, 3, 5]],
      bound: 'exact',
    }),
  ),
  buildCase('scatter_rows', 'a place outside is an error', {
    inputs: [floats([1, 1, 1], [1]), ints([1, 1], [-1])],
    out: [[1, 2, 1]],
    bound: 'exact',
    fails: 'out_of_range',
  }),
  ...[0, 1, 3].flatMap((heads) => [
    buildCase('edge_read_grad', `the stream of ${heads} heads`, {
      inputs: [random(`erg/${heads}`, heads === 0 ? [4, 3, 9] : [4, 3, heads, 9]), null],
      attrs: { heads },
      out: [[4, 3, 9]],
      bound: 'exact',
    }),
    buildCase('edge_read_grad', `writer 1 of 2 of ${heads} heads`, {
      inputs: [
        random(`erg/d/${heads}`, heads === 0 ? [4, 3, 9] : [4, 3, heads, 9]),
        random(`erg/mask/${heads}`, [4, Math.max(heads, 1), 2]),
      ],
      attrs: { heads, delta: 1 },
      out: [[4, 3, 9]],
      bound: 'exact',
    }),
  ]),
  buildCase('edge_read_grad', 'an edge that is not cut reads nothing', {
    inputs: [floats([1, 1, 2, 1], [nan, 3]), floats([1, 2, 1], [0, -1])],
    attrs: { heads: 2, delta: 0 },
    out: [[1, 1, 1]],
    bound: 'exact',
    expect: [[-3]],
  }),
];

export const gradientCases: readonly ConformanceCase[] = [...elementwise, ...norms, ...rows, ...weights, ...products];
