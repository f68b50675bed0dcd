import type { ConformanceCase } from '../conformance.ts';
import { crossEntropyRows } from './bounds.ts';
import { buildCase, floats, ints, lengths, random, randomInts, widths, withEntries } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: hidden } = Number;

function topK(
  fact: string,
  k: number,
  values: readonly number[],
  expect: { readonly values: readonly number[]; readonly indices: readonly number[] },
): ConformanceCase {
  return buildCase('top_k', fact, {
    inputs: [floats([1, values.length], values)],
    attrs: { k },
    out: [
      [1, k],
      [1, k],
    ],
    bound: 'exact',
    expect: [expect.values, expect.indices],
  });
}

const topKs: ConformanceCase[] = [
  ...lengths.flatMap((n) =>
    [1, 5].map((k) =>
      buildCase('top_k', `${k} of ${n}`, {
        inputs: [random(`top_k/${n}`, [3, n])],
        attrs: { k },
        out: [
          [3, k],
          [3, k],
        ],
        bound: 'exact',
      }),
    ),
  ),
  ...[64, 65, 1000].map((k) =>
    buildCase('top_k', `${k} of 1000 entries with 20 distinct values`, {
      inputs: [floats([2, 1000], [...randomInts('top_k/ties', [2000], 20).data])],
      attrs: { k },
      out: [
        [2, k],
        [2, k],
      ],
      bound: 'exact',
    }),
  ),
  topK('nothing asked for', 0, [3, 1, 2], { values: [], indices: [] }),
  topK('ties go by index', 3, [1, 2, 2, 1, 2], { values: [2, 2, 2], indices: [1, 2, 4] }),
  topK('a tie at the edge keeps the earlier', 2, [0, 5, 0, 0], { values: [5, 0], indices: [1, 0] }),
  topK('−0 ties with 0 and keeps its sign', 3, [-0, 0, -0], { values: [-0, 0, -0], indices: [0, 1, 2] }),
  topK('NaN comes before ∞, several by index', 4, [1, nan, infinity, nan], {
    values: [nan, nan, infinity, 1],
    indices: [1, 3, 2, 0],
  }),
  topK('−∞ is a number like others', 2, [hidden, hidden, -1], { values: [-1, hidden], indices: [2, 0] }),
  topK('subnormals are told apart', 3, [2 ** -149, 0, -(2 ** -149)], {
    values: [2 ** -149, 0, -(2 ** -149)],
    indices: [0, 1, 2],
  }),
  topK('k larger than n pads with value 0 and index −1', 4, [-3, -1], {
    values: [-1, -3, 0, 0],
    indices: [1, 0, -1, -1],
  }),
  topK('a row of nothing is all padding', 2, [], { values: [0, 0], indices: [-1, -1] }),
  topK('all equal: the first k', 3, new Array<number>(65).fill(7), { values: [7, 7, 7], indices: [0, 1, 2] }),
];

const projections: ConformanceCase[] = [
  ...widths.flatMap((d) =>
    (['none', 'relu', 'threshold'] as const).map((activation) =>
      buildCase('bias_act_top_k', `${activation}, width ${d}`, {
        inputs: [random(`project/x/${d}`, [3, d])],
        params: [
          random(`project/W/${d}`, [d, 65]),
          random('project/b', [65]),
          activation === 'threshold' ? random('project/thresholds', [65]) : null,
        ],
        attrs: { activation, k: 8 },
        out: [[3, 8], [3, 8], [3]],
        bound: 'exact',
      }),
    ),
  ),
  ...lengths.map((tokens) =>
    buildCase('bias_act_top_k', `${tokens} tokens over 200 latents`, {
      inputs: [random(`project/tokens/${tokens}`, [tokens, 16])],
      params: [random('project/tokens/W', [16, 200]), null, null],
      attrs: { activation: 'relu', k: 5 },
      out: [[tokens, 5], [tokens, 5], [tokens]],
      bound: 'exact',
    }),
  ),
  ...(['bf16', 'int8'] as const).flatMap((screen) =>
    lengths.map((tokens) =>
      buildCase('bias_act_top_k', `${tokens} tokens looked at in ${screen} first`, {
        inputs: [random(`project/tokens/${tokens}`, [tokens, 16])],
        params: [random('project/tokens/W', [16, 200]), random('project/tokens/b', [200]), null],
        attrs: { activation: 'relu', k: 5, screen },
        out: [[tokens, 5], [tokens, 5], [tokens]],
        bound: 'exact',
      }),
    ),
  ),
  buildCase('bias_act_top_k', 'more asked for than there are latents', {
    inputs: [floats([1, 1], [1])],
    params: [floats([1, 3], [3, 1, 2]), null, null],
    attrs: { activation: 'none', k: 5 },
    out: [[1, 5], [1, 5], [1]],
    bound: 'exact',
    expect: [[3, 2, 1, 0, 0], [0, 2, 1, -1, -1], [3]],
  }),
  buildCase('bias_act_top_k', 'relu keeps what is above 0: neither 0, nor −0, nor less; NaN is not dropped', {
    inputs: [floats([2, 1], [1, -1])],
    params: [floats([1, 5], [2, 0, -1, nan, 2 ** -149]), null, null],
    attrs: { activation: 'relu', k: 4 },
    out: [[2, 4], [2, 4], [2]],
    bound: 'exact',
    expect: [
      [nan, 2, 2 ** -149, 0, nan, 1, 0, 0],
      [3, 0, 4, -1, 3, 2, -1, -1],
      [3, 2],
    ],
  }),
  buildCase('bias_act_top_k', 'a latent at its threshold is off, above it on with its whole value', {
    inputs: [floats([1, 1], [1])],
    params: [floats([1, 4], [1, 1, 1, -1]), floats([4], [0, 0.5, 0, 0]), floats([4], [1, 1, 0.5, -2])],
    attrs: { activation: 'threshold', k: 4 },
    out: [[1, 4], [1, 4], [1]],
    bound: 'exact',
    expect: [[1.5, 1, -1, 0], [1, 2, 3, -1], [3]],
  }),
  buildCase('bias_act_top_k', 'nothing active: no entries, only padding', {
    inputs: [floats([1, 1], [1])],
    params: [floats([1, 2], [-1, -2]), null, null],
    attrs: { activation: 'relu', k: 2 },
    out: [[1, 2], [1, 2], [1]],
    bound: 'exact',
    expect: [[0, 0], [-1, -1], [0]],
  }),
  buildCase('bias_act_top_k', 'ties go by index across the whole dictionary', {
    inputs: [floats([1, 1], [1])],
    params: [floats([1, 130], new Array<number>(130).fill(1)), null, null],
    attrs: { activation: 'relu', k: 3 },
    out: [[1, 3], [1, 3], [1]],
    bound: 'exact',
    expect: [[1, 1, 1], [0, 1, 2], [3]],
  }),
];

/** Sparse rows of at most `entries`, of so many tokens. */
const sparse = (entries: number, tokens: number) => [[entries], [entries], [tokens + 1]];

const sparseProjections: ConformanceCase[] = [
  ...widths.flatMap((d) =>
    (['none', 'relu', 'threshold'] as const).flatMap((activation) =>
      [{}, { batchTopK: 3 }].map((attrs) =>
        buildCase('project_csr', `${activation}, width ${d}${attrs.batchTopK ? ', 3 a token of the batch' : ''}`, {
          inputs: [random(`project/x/${d}`, [2, 2, d])],
          params: [
            random(`project/W/${d}`, [d, 65]),
            random('project/b', [65]),
            activation === 'threshold' ? random('project/thresholds', [65]) : null,
          ],
          attrs: { activation, ...attrs },
          out: sparse(265, 4),
          bound: 'exact',
        }),
      ),
    ),
  ),
  ...lengths.map((tokens) =>
    buildCase('project_csr', `${tokens} tokens over 200 latents`, {
      inputs: [random(`project/tokens/${tokens}`, [tokens, 16])],
      params: [random('project/tokens/W', [16, 200]), random('project/tokens/b', [200]), null],
      attrs: { activation: 'relu' },
      out: sparse(200 * tokens, tokens),
      bound: 'exact',
    }),
  ),
  buildCase('project_csr', 'a row is its active latents by index: neither 0, nor −0, nor less; NaN is not dropped', {
    inputs: [floats([3, 1], [1, 0, -1])],
    params: [floats([1, 5], [2, 0, -1, nan, 2 ** -149]), floats([5], [0, 0, 0, 0, 0]), null],
    attrs: { activation: 'relu' },
    out: sparse(7, 3),
    bound: 'exact',
    expect: [
      [2, nan, 2 ** -149, nan, 1, nan, 0],
      [0, 3, 4, 3, 2, 3, -1],
      [0, 3, 4, 6],
    ],
  }),
  buildCase('project_csr', 'a zero above a threshold below zero is no latent', {
    inputs: [floats([1, 1], [1])],
    params: [floats([1, 4], [0, -0, -0.5, -2]), null, floats([4], [-1, -1, -1, -1])],
    attrs: { activation: 'threshold' },
    out: sparse(2, 1),
    bound: 'exact',
    expect: [
      [-0.5, 0],
      [2, -1],
      [0, 1],
    ],
  }),
  buildCase('project_csr', 'ties of a batch go by token, then by latent, and NaN comes first', {
    inputs: [floats([3, 1], [1, nan, 1])],
    params: [floats([1, 2], [2, 2]), null, null],
    attrs: { activation: 'relu', batchTopK: 1 },
    out: sparse(3, 3),
    bound: 'exact',
    expect: [
      [2, nan, nan],
      [0, 0, 1],
      [0, 1, 3, 3],
    ],
  }),
  buildCase('project_csr', 'nothing of a batch', {
    inputs: [floats([2, 1], [1, 1])],
    params: [floats([1, 2], [2, 2]), null, null],
    attrs: { activation: 'relu', batchTopK: 0 },
    out: sparse(1, 2),
    bound: 'exact',
    expect: [[0], [-1], [0, 0, 0]],
  }),
  buildCase('project_csr', 'more than there is room for is an error, never cut off', {
    inputs: [floats([2, 1], [1, 1])],
    params: [floats([1, 2], [2, 2]), null, null],
    attrs: { activation: 'relu' },
    out: sparse(3, 2),
    bound: 'exact',
    fails: 'capacity',
  }),
];

const given: ConformanceCase[] = lengths.flatMap((tokens) => {
  // About a third are zeros.
  const x = random(`active/${tokens}`, [tokens, 70]);
  const latents = floats(
    x.shape,
    Array.from(x.data, (value) => (Math.abs(value) < 0.4 ? 0 : value)),
  );
  const rows = withEntries(latents, tokens > 1 ? { 3: nan, 4: -0, 70: infinity, 71: hidden } : {});
  return [
    buildCase('active_csr', `${tokens} tokens`, {
      inputs: [rows],
      out: sparse(70 * tokens, tokens),
      bound: 'exact',
    }),
    buildCase('active_csr', `${tokens} tokens, two a token of the batch`, {
      inputs: [rows],
      attrs: { batchTopK: 2 },
      out: sparse(2 * tokens, tokens),
      bound: 'exact',
    }),
    buildCase('active_top_k', `50 of ${tokens} tokens`, {
      inputs: [rows],
      attrs: { k: 50 },
      out: [[tokens, 50], [tokens, 50], [tokens]],
      bound: 'exact',
    }),
  ];
});

const lossBound = { allowed: crossEntropyRows, because: 'u·(⌈V/32⌉ + 16 + Σp|x − max| + 2·loss + 4·|max − x[id]|)' };

const losses: ConformanceCase[] = [
  ...widths.map((vocabulary) =>
    buildCase('cross_entropy', `${vocabulary} logits`, {
      inputs: [
        random(`loss/${vocabulary}`, [2, 3, vocabulary], 4),
        randomInts(`loss/ids/${vocabulary}`, [2, 3], vocabulary),
      ],
      out: [[2, 3]],
      bound: lossBound,
    }),
  ),
  ...lengths.map((positions) =>
    buildCase('cross_entropy', `${positions} positions`, {
      inputs: [
        random(`loss/pos/${positions}`, [1, positions, 11]),
        randomInts(`loss/pos/ids/${positions}`, [1, positions], 11),
      ],
      out: [[1, positions]],
      bound: lossBound,
    }),
  ),
  buildCase('cross_entropy', 'equal logits cost log V, an ignored position nothing', {
    inputs: [floats([1, 3, 4], [5, 5, 5, 5, nan, nan, nan, nan, 1e30, 1e30, 1e30, 1e30]), ints([1, 3], [2, -100, 0])],
    out: [[1, 3]],
    bound: lossBound,
    expect: [[Math.log(4), 0, Math.log(4)]],
  }),
  buildCase('cross_entropy', 'certainty costs nothing, a hopeless token its distance', {
    inputs: [floats([1, 2, 2], [200, -200, 200, -200]), ints([1, 2], [0, 1])],
    out: [[1, 2]],
    bound: lossBound,
    expect: [[0, 400]],
  }),
  buildCase('cross_entropy', 'a token with logit −∞ costs ∞; NaN and +∞ give NaN', {
    inputs: [floats([1, 3, 2], [0, hidden, 0, nan, infinity, 0]), ints([1, 3], [1, 0, 1])],
    out: [[1, 3]],
    bound: lossBound,
    expect: [[infinity, nan, nan]],
  }),
  ...[-1, 2].map((id) =>
    buildCase('cross_entropy', `the id ${id} of a vocabulary of 2 is an error`, {
      inputs: [withEntries(random('loss/small', [1, 1, 2]), {}), ints([1, 1], [id])],
      out: [[1, 1]],
      bound: lossBound,
      fails: 'out_of_range',
    }),
  ),
];

export const choiceCases: readonly ConformanceCase[] = [
  ...topKs,
  ...projections,
  ...sparseProjections,
  ...given,
  ...losses,
];
