import type { Tensor } from '../../tensor/index.ts';
import type { ConformanceCase } from '../conformance.ts';
import type { KernelCall } from '../contract.ts';
import { runReference } from '../reference/index.ts';
import { sumOfTerms } from './bounds.ts';
import { buildCase, floats, random, widths } from './build-case.ts';

// Mixtures of experts: who is sent where, what gates let through, and the one step against its parts.

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

const positive = (name: string, shape: readonly number[]): Tensor => {
  const { data } = random(name, shape);
  return { shape, data: data.map((x) => Math.abs(x) + 0.01) };
};

/** The k largest of each row, as indices. */
const chosenOf = (p: Tensor, k: number): Tensor => {
  const shape = [...p.shape.slice(0, -1), k];
  return floatsOf({ kernel: 'choices', inputs: [p], params: [], attrs: { k }, outShapes: [shape], wanted: [true] });
};

/** The gates of tokens over n experts, k of them open. */
const gatesOf = (name: string, shape: readonly number[], k: number): Tensor => {
  const p = positive(name, shape);
  const inputs = [p, chosenOf(p, k)];
  return floatsOf({ kernel: 'route', inputs, params: [], attrs: {}, outShapes: [shape], wanted: [true] });
};

function floatsOf(call: KernelCall): Tensor {
  const [made] = runReference(call, 'f32');
  if (!made || made.data instanceof Int32Array) throw new Error(`${call.kernel} gives floats`);
  return { shape: made.shape, data: made.data };
}

const routing: readonly ConformanceCase[] = [
  buildCase('route', 'those chosen share 1; what is no index, or comes twice, counts for nothing', {
    inputs: [
      floats([3, 4], [0.5, 0.125, 0.25, 0.125, 0.25, 0.25, 0.25, 0.25, 1, 2, 3, 4]),
      floats([3, 3], [0, 2, 2, 1, 4, -1, 0.5, nan, infinity]),
    ],
    out: [[3, 4]],
    bound: 'exact',
    rounded: true,
    expect: [[2 / 3, 0, 1 / 3, 0, 0, 1, 0, 0, 0, 0, 0, 0]],
  }),
  buildCase('route', 'a NaN spoils its own row, and only if it is chosen', {
    inputs: [floats([2, 3], [0.5, nan, 0.25, 1, nan, 3]), floats([2, 2], [0, 1, 0, 2])],
    out: [[2, 3]],
    bound: 'exact',
    expect: [[nan, nan, 0, 0.25, 0, 0.75]],
  }),
  ...[1, 2, 8, 65, 70].flatMap((k) => [
    buildCase('route', `${k} of 65`, {
      inputs: [positive(`route/${k}`, [3, 65]), chosenOf(positive(`route/${k}`, [3, 65]), k)],
      out: [[3, 65]],
      bound: 'exact',
    }),
    buildCase('choices', `${k} of 65`, {
      inputs: [random(`choices/${k}`, [3, 65])],
      attrs: { k },
      out: [[3, k]],
      bound: 'exact',
    }),
    buildCase('route_grad', `${k} of 65`, {
      inputs: [positive(`route/${k}`, [3, 65]), gatesOf(`route/${k}`, [3, 65], k), random('route-ct', [3, 65])],
      out: [[3, 65]],
      bound: 'exact',
    }),
  ]),
  buildCase('choices', 'ties go by index, NaN first, −1 where there are fewer', {
    inputs: [floats([2, 3], [1, 3, 3, nan, 5, -1])],
    attrs: { k: 4 },
    out: [[2, 4]],
    bound: 'exact',
    expect: [[1, 2, 0, -1, 0, 1, 2, -1]],
  }),
  buildCase('route_grad', 'p 1 and 3 of 4: (ct − mean)/4; what was not chosen is not read', {
    inputs: [floats([1, 3], [1, nan, 3]), floats([1, 3], [0.25, 0, 0.75]), floats([1, 3], [8, nan, 0])],
    out: [[1, 3]],
    bound: 'exact',
    expect: [[1.5, 0, -0.5]],
  }),
];

const adding: readonly ConformanceCase[] = [
  buildCase('add_gated', 'a token is given gate·y; behind a gate of 0 or −0 nothing is read', {
    inputs: [
      floats([3, 2], [1, 2, 3, 4, 5, 6]),
      floats([3, 2], [10, 20, nan, infinity, nan, nan]),
      floats([3, 2], [0.75, 0.25, 1, 0, 1, -0]),
    ],
    attrs: { expert: 1 },
    out: [[3, 2]],
    bound: 'exact',
    expect: [[3.5, 7, 3, 4, 5, 6]],
  }),
  buildCase('add_gated', 'the first expert adds to nothing, to the sign of zero', {
    inputs: [null, floats([2, 1], [-0, 7]), floats([2, 1], [2, 0])],
    attrs: { expert: 0 },
    out: [[2, 1]],
    bound: 'exact',
    expect: [[-0, 0]],
  }),
  buildCase('gate_grad', 'Σ y·ct at the expert alone', {
    inputs: [floats([2, 2], [1, 2, nan, 1]), floats([2, 2], [3, 4, 1, 1])],
    attrs: { expert: 1, experts: 3 },
    out: [[2, 3]],
    bound: 'exact',
    expect: [[0, 11, 0, 0, nan, 0]],
  }),
  ...widths.flatMap((n) => [
    buildCase('add_gated', `tokens of ${n}`, {
      inputs: [random(`gated/${n}`, [2, 3, n]), random(`gated/y/${n}`, [2, 3, n]), gatesOf('gated', [2, 3, 4], 2)],
      attrs: { expert: 2 },
      out: [[2, 3, n]],
      bound: 'exact',
    }),
    buildCase('gate_grad', `tokens of ${n}`, {
      inputs: [random(`gated/y/${n}`, [2, 3, n]), random(`gated/ct/${n}`, [2, 3, n])],
      attrs: { expert: 2, experts: 4 },
      out: [[2, 3, 4]],
      bound: 'exact',
    }),
  ]),
  buildCase('add_gated', 'an expert that is not there', {
    inputs: [null, floats([1, 1], [1]), floats([1, 2], [1, 0])],
    attrs: { expert: 2 },
    out: [[1, 1]],
    bound: 'exact',
    fails: 'out_of_range',
  }),
];

/** Each chain once, and the slope of a smooth activation, which is below 1.1 where its value is at least half. */
const wholeExpert = (read: number, inner: number) =>
  ({ allowed: sumOfTerms(4 * read + inner + 40), because: `(4K + F + 40)·u·Σ|terms|, K ${read}, F ${inner}` }) as const;

const experts: readonly ConformanceCase[] = (['silu', 'gelu_erf', 'relu'] as const).flatMap((fn) =>
  (
    [
      [1, 1, 1, 1],
      [7, 9, 33, 5],
      [40, 16, 48, 65],
    ] as const
  ).flatMap(([tokens, read, inner, width]) =>
    [null, random(`expert/x/${width}`, [1, tokens, width])].map((x) =>
      buildCase('expert', `${fn}, ${tokens} tokens of ${read}, ${inner} neurons${x ? ', added to x' : ''}`, {
        inputs: [x, random(`expert/${read}`, [1, tokens, read]), gatesOf(`expert/${tokens}`, [1, tokens, 5], 2)],
        params: [
          random(`expert/gate/${read}`, [read, inner]),
          random(`expert/in/${read}`, [read, inner]),
          random(`expert/out/${inner}`, [inner, width]),
        ],
        attrs: { expert: 3, fn },
        out: [[1, tokens, width]],
        bound: wholeExpert(read, inner),
        ...(fn === 'relu' ? { sameBits: true as const } : {}),
      }),
    ),
  ),
);

export const expertCases: readonly ConformanceCase[] = [
  ...routing,
  ...adding,
  ...experts,
  buildCase('expert', 'who is sent elsewhere is not read: NaN, infinity and 0·∞ stay out', {
    inputs: [
      floats([3, 1], [1, 2, 3]),
      floats([3, 2], [2, 1, nan, infinity, -1, 1]),
      floats([3, 2], [1, 0.5, 1, 0, 0, 0.25]),
    ],
    params: [floats([2, 1], [1, 1]), floats([2, 1], [1, 0]), floats([1, 1], [2])],
    attrs: { expert: 1, fn: 'relu' },
    out: [[3, 1]],
    bound: wholeExpert(2, 1),
    sameBits: true,
    // relu(3)·2·2·0.5 + 1, untouched, relu(0) = 0
    expect: [[7, 2, 3]],
  }),
];
