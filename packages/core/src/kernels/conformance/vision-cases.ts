import type { Bound, ConformanceCase } from '../conformance.ts';
import type { KernelAttributes } from '../contract.ts';
import { sumOfTerms } from './bounds.ts';
import { buildCase, floats, random } from './build-case.ts';

// Convolutions and pools: planes that windows leave a rest of, padding, gaps, groups, rows that groups share.

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: minus } = Number;

const chain = (n: number, what: string): Bound => ({ allowed: sumOfTerms(n), because: `${n}·u·Σ|${what}|` });

interface Movement {
  readonly rows: number;
  readonly x: readonly [channels: number, height: number, width: number];
  readonly out: readonly [channels: number, height: number, width: number];
  readonly window: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly number[];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

const plain = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 } as const;

const movements: readonly Movement[] = [
  { ...plain, rows: 1, x: [1, 1, 1], out: [1, 1, 1], window: [1, 1] },
  { ...plain, rows: 2, x: [3, 7, 8], out: [4, 5, 6], window: [3, 3] },
  { ...plain, rows: 2, x: [3, 9, 9], out: [5, 9, 9], window: [5, 5], padding: [2, 2] },
  { ...plain, rows: 3, x: [4, 8, 7], out: [6, 4, 4], window: [3, 3], stride: [2, 2], padding: [1, 1] },
  { ...plain, rows: 2, x: [4, 7, 7], out: [6, 4, 6], window: [3, 2], stride: [2, 1], padding: [1, 0], groups: 2 },
  { ...plain, rows: 1, x: [4, 7, 6], out: [4, 7, 6], window: [3, 3], padding: [2, 2], dilation: [2, 2] },
  { ...plain, rows: 2, x: [4, 6, 6], out: [8, 6, 6], window: [3, 3], padding: [1, 1], groups: 4 },
  { ...plain, rows: 2, x: [3, 6, 7], out: [5, 3, 5], window: [3, 3], stride: [2, 2], padding: [0, 2, 1, 3] },
  { ...plain, rows: 2, x: [17, 6, 5], out: [33, 6, 5], window: [1, 1] },
  { ...plain, rows: 1, x: [2, 26, 27], out: [20, 13, 14], window: [7, 7], stride: [2, 2], padding: [3, 3] },
  { ...plain, rows: 0, x: [2, 5, 5], out: [3, 3, 3], window: [3, 3] },
  { ...plain, rows: 2, x: [2, 2, 2], out: [3, 0, 0], window: [3, 3] },
];

const attrsOf = ({ stride, padding, dilation, groups }: Movement): KernelAttributes => ({
  stride,
  padding,
  dilation,
  groups,
});

const convolutions: ConformanceCase[] = movements.flatMap((move) => {
  const { rows, x, out, window, groups } = move;
  const weight = [out[0], x[0] / groups, ...window];
  const name = `${rows} × [${x}] to [${out}], ${window.join(' × ')} by ${move.stride} in ${groups}, pad ${move.padding}, gap ${move.dilation}`;
  const terms = (x[0] / groups) * window[0] * window[1];
  const attrs = attrsOf(move);
  return [
    ...[true, false].map((bias) =>
      buildCase('conv2d', `${name}${bias ? ', biased' : ''}`, {
        inputs: [random(`conv/x/${name}`, [rows, ...x])],
        params: [random(`conv/W/${name}`, weight), bias ? random(`conv/b/${name}`, [out[0]]) : null],
        attrs,
        out: [[rows, ...out]],
        bound: chain(terms + 1, 'x·W'),
        sameBits: true,
      }),
    ),
    buildCase('conv2d_grad_input', name, {
      inputs: [random(`conv/ct/${name}`, [rows, ...out])],
      params: [random(`conv/W/${name}`, weight)],
      attrs,
      out: [[rows, ...x]],
      bound: chain(out[0] / groups + window[0] * window[1], 'W·ct'),
      sameBits: true,
    }),
    buildCase('conv2d_grad_weight', name, {
      inputs: [random(`conv/x/${name}`, [rows, ...x]), random(`conv/ct/${name}`, [rows, ...out])],
      attrs,
      out: [[1, ...weight]],
      bound: chain(Math.max(1, rows * out[1] * out[2]), 'ct·x'),
      sameBits: true,
    }),
  ];
});

const shared: ConformanceCase[] = [
  { own: 3, all: 6, groups: 2 },
  { own: 2, all: 6, groups: 3 },
  { own: 6, all: 2, groups: 3 },
  { own: 6, all: 6, groups: 2 },
].map(({ own, all, groups }) =>
  buildCase('conv2d_grad_weight', `${groups} groups of rows, ${own} of x and ${all} of ct`, {
    inputs: [random(`conv/shared/x/${own}`, [own, 3, 6, 5]), random(`conv/shared/ct/${all}`, [all, 4, 6, 5])],
    attrs: { ...plain, padding: [1, 1] },
    out: [[groups, 4, 3, 3, 3]],
    bound: chain(6 * 30, 'ct·x'),
    sameBits: true,
  }),
);

const byHand: ConformanceCase[] = [
  buildCase('conv2d', 'by hand: a difference of neighbours, zeros outside', {
    inputs: [floats([1, 1, 1, 3], [1, 4, 9])],
    params: [floats([1, 1, 1, 3], [-1, 0, 1]), floats([1], [10])],
    attrs: { ...plain, padding: [0, 1] },
    out: [[1, 1, 1, 3]],
    bound: chain(4, 'x·W'),
    expect: [[14, 18, 6]],
  }),
  buildCase('conv2d', 'NaN and infinity stay under their windows; padding times infinity is NaN', {
    inputs: [floats([1, 1, 1, 5], [nan, 1, 2, 3, 4])],
    params: [floats([1, 1, 1, 2], [1, infinity]), null],
    attrs: { ...plain, padding: [0, 1] },
    out: [[1, 1, 1, 6]],
    bound: chain(3, 'x·W'),
    expect: [[nan, nan, infinity, infinity, infinity, nan]],
  }),
  buildCase('conv2d_grad_input', 'by hand: the difference goes back turned', {
    inputs: [floats([1, 1, 1, 3], [1, 10, 100])],
    params: [floats([1, 1, 1, 3], [-1, 0, 1])],
    attrs: { ...plain, padding: [0, 1] },
    out: [[1, 1, 1, 3]],
    bound: chain(4, 'W·ct'),
    expect: [[-10, -99, 10]],
  }),
  buildCase('conv2d_grad_weight', 'by hand: a correlation', {
    inputs: [floats([2, 1, 1, 2], [1, 2, 3, 4]), floats([2, 1, 1, 1], [1, 10])],
    attrs: plain,
    out: [[1, 1, 1, 1, 2]],
    bound: chain(2, 'ct·x'),
    expect: [[31, 42]],
  }),
];

const channels: ConformanceCase[] = [
  ...[1, 7, 33].flatMap((width) => [
    buildCase('channel_affine', `planes of 3 × ${width}`, {
      inputs: [random(`channel/x/${width}`, [2, 5, 3, width])],
      params: [random('channel/w', [5]), random('channel/b', [5])],
      out: [[2, 5, 3, width]],
      bound: 'exact',
    }),
    buildCase('channel_affine', `a gain alone, 3 × ${width}`, {
      inputs: [random(`channel/x/${width}`, [2, 5, 3, width])],
      params: [random('channel/w', [5]), null],
      out: [[2, 5, 3, width]],
      bound: 'exact',
    }),
    buildCase('channel_affine', `a shift alone, 3 × ${width}`, {
      inputs: [random(`channel/x/${width}`, [2, 5, 3, width])],
      params: [null, random('channel/b', [5])],
      out: [[2, 5, 3, width]],
      bound: 'exact',
    }),
    ...[6, 2].flatMap((own) => [
      buildCase('channel_sum', `2 groups of 3 rows beside ${own}, 3 × ${width}`, {
        inputs: [
          random(`channel/ct/${width}`, [6, 5, 3, width]),
          random(`channel/x/${own}/${width}`, [own, 5, 3, width]),
        ],
        out: [[own === 2 ? 6 : 2, 5]],
        bound: chain(9 * width, 'ct·x'),
        sameBits: true,
      }),
    ]),
    buildCase('channel_sum', `alone, 3 × ${width}`, {
      inputs: [random(`channel/ct/${width}`, [6, 5, 3, width]), null],
      out: [[1, 5]],
      bound: chain(18 * width, 'ct'),
      sameBits: true,
    }),
  ]),
  buildCase('channel_affine', 'rows of features', {
    inputs: [floats([2, 3], [1, 2, 3, 4, 5, 6])],
    params: [floats([3], [2, -1, 0.5]), floats([3], [10, 0, 1])],
    out: [[2, 3]],
    bound: 'exact',
    expect: [[12, -2, 2.5, 18, -5, 4]],
  }),
  buildCase('channel_sum', 'rows of features', {
    inputs: [floats([2, 3], [1, 2, 3, 4, 5, 6]), floats([2, 3], [1, 1, 1, 10, 0, -1])],
    out: [[1, 3]],
    bound: chain(2, 'ct·x'),
    sameBits: true,
    expect: [[41, 2, -3]],
  }),
  buildCase('channel_affine', 'by hand', {
    inputs: [floats([1, 2, 1, 2], [1, 2, 3, nan])],
    params: [floats([2], [2, -1]), floats([2], [10, 0.5])],
    out: [[1, 2, 1, 2]],
    bound: 'exact',
    expect: [[12, 14, -2.5, nan]],
  }),
];

interface Pool {
  readonly x: readonly [number, number];
  readonly out: readonly [number, number];
  readonly attrs: { readonly [name: string]: readonly number[] | boolean };
}

const pool = { padding: [0, 0], dilation: [1, 1], ceil: false } as const;

const pools: readonly Pool[] = [
  { x: [7, 8], out: [3, 4], attrs: { ...pool, window: [2, 2], stride: [2, 2] } },
  { x: [7, 8], out: [4, 4], attrs: { ...pool, window: [3, 3], stride: [2, 2], padding: [1, 1] } },
  { x: [7, 8], out: [4, 5], attrs: { ...pool, window: [3, 3], stride: [2, 2], padding: [1, 1], ceil: true } },
  { x: [7, 8], out: [3, 3], attrs: { ...pool, window: [2, 2], stride: [3, 3], padding: [1, 1], ceil: true } },
  { x: [7, 8], out: [7, 5], attrs: { ...pool, window: [3, 2], stride: [1, 2], padding: [1, 1] } },
  { x: [7, 8], out: [4, 4], attrs: { ...pool, window: [3, 3], stride: [2, 2], padding: [1, 0, 1, 1] } },
  { x: [7, 8], out: [6, 8], attrs: { ...pool, window: [2, 2], stride: [1, 1], padding: [0, 1, 0, 0] } },
  { x: [5, 9], out: [1, 1], attrs: { ...pool, window: [5, 9], stride: [5, 9] } },
  { x: [2, 2], out: [0, 0], attrs: { ...pool, window: [3, 3], stride: [1, 1] } },
];

const pooled: ConformanceCase[] = [
  ...pools.flatMap(({ x, out, attrs }) => {
    const name = `${x.join(' × ')} by ${JSON.stringify(attrs)}`;
    const { dilation: _, ...mean } = attrs;
    const ct = random(`pool/ct/${name}`, [2, 3, ...out]);
    return [
      buildCase('max_pool2d', name, {
        inputs: [random(`pool/${name}`, [2, 3, ...x])],
        attrs,
        out: [[2, 3, ...out]],
        bound: 'exact',
      }),
      buildCase('max_pool2d_grad', name, {
        inputs: [random(`pool/${name}`, [2, 3, ...x]), ct],
        attrs,
        out: [[2, 3, ...x]],
        bound: 'exact',
      }),
      ...[true, false].flatMap((countPadding) => [
        buildCase('avg_pool2d', `${name}, padding ${countPadding ? 'counts' : 'does not count'}`, {
          inputs: [random(`pool/${name}`, [2, 3, ...x])],
          attrs: { ...mean, countPadding },
          out: [[2, 3, ...out]],
          bound: 'exact',
        }),
        buildCase('avg_pool2d_grad', `${name}, padding ${countPadding ? 'counts' : 'does not count'}`, {
          inputs: [ct],
          attrs: { ...mean, countPadding },
          out: [[2, 3, ...x]],
          bound: 'exact',
        }),
      ]),
    ];
  }),
  ...[1, 2, 17].flatMap((width) => [
    buildCase('concat_channels', `three images of ${width} side by side`, {
      inputs: [1, 3, 2].map((channels) => random(`concat/${channels}/${width}`, [2, channels, 3, width])),
      out: [[2, 6, 3, width]],
      bound: 'exact',
    }),
    buildCase('slice_channels', `two of four channels of ${width}`, {
      inputs: [random(`slice/${width}`, [3, 4, 2, width])],
      attrs: { first: 1 },
      out: [[3, 2, 2, width]],
      bound: 'exact',
    }),
    buildCase('clip', `both bounds, ${width}`, {
      inputs: [random(`clip/${width}`, [2, 3, 2, width], 4)],
      attrs: { low: 0, high: 1.5 },
      out: [[2, 3, 2, width]],
      bound: 'exact',
    }),
    buildCase('clip_grad', `both bounds, ${width}`, {
      inputs: [random(`clip/${width}`, [2, 3, 2, width], 4), random(`clip/ct/${width}`, [2, 3, 2, width])],
      attrs: { low: 0, high: 1.5 },
      out: [[2, 3, 2, width]],
      bound: 'exact',
    }),
  ]),
  buildCase('concat_channels', 'each row has its own', {
    inputs: [floats([2, 1, 1, 1], [1, 2]), floats([2, 2, 1, 1], [3, 4, 5, 6])],
    out: [[2, 3, 1, 1]],
    bound: 'exact',
    expect: [[1, 3, 4, 2, 5, 6]],
  }),
  buildCase('clip', 'a bound that is left out is none; NaN and −0 stay', {
    inputs: [floats([1, 1, 1, 6], [-7, -0, nan, minus, 3, 9])],
    attrs: { high: 6 },
    out: [[1, 1, 1, 6]],
    bound: 'exact',
    expect: [[-7, -0, nan, minus, 3, 6]],
  }),
  buildCase('clip_grad', 'nothing flows on the bounds and beyond; NaN says so', {
    inputs: [floats([1, 1, 1, 6], [-7, 0, nan, 3, 6, 9]), floats([1, 1, 1, 6], [1, 2, 3, 4, 5, 6])],
    attrs: { low: 0, high: 6 },
    out: [[1, 1, 1, 6]],
    bound: 'exact',
    expect: [[0, 0, nan, 4, 0, 0]],
  }),
  buildCase('max_pool2d', 'with gaps', {
    inputs: [random('pool/gaps', [2, 3, 7, 8])],
    attrs: { ...pool, window: [2, 2], stride: [2, 2], dilation: [2, 2] },
    out: [[2, 3, 3, 3]],
    bound: 'exact',
  }),
  buildCase('max_pool2d', 'NaN is chosen, padding never', {
    inputs: [floats([1, 1, 1, 6], [-3, -2, 5, nan, minus, minus])],
    attrs: { ...pool, window: [1, 2], stride: [1, 2] },
    out: [[1, 1, 1, 3]],
    bound: 'exact',
    expect: [[-2, nan, minus]],
  }),
  buildCase('max_pool2d_grad', 'of equals the first gets it, and windows that meet are added', {
    inputs: [floats([1, 1, 1, 4], [1, 7, 7, 0]), floats([1, 1, 1, 3], [1, 10, 100])],
    attrs: { ...pool, window: [1, 2], stride: [1, 1] },
    out: [[1, 1, 1, 4]],
    bound: 'exact',
    expect: [[0, 11, 100, 0]],
  }),
  buildCase('avg_pool2d', 'at the border by hand: zeros outside count, or do not', {
    inputs: [floats([1, 1, 1, 2], [4, 8])],
    attrs: { window: [1, 2], stride: [1, 1], padding: [0, 1], ceil: false, countPadding: true },
    out: [[1, 1, 1, 3]],
    bound: 'exact',
    expect: [[2, 6, 4]],
  }),
  buildCase('avg_pool2d_grad', 'at the border by hand', {
    inputs: [floats([1, 1, 1, 3], [2, 20, 200])],
    attrs: { window: [1, 2], stride: [1, 1], padding: [0, 1], ceil: false, countPadding: false },
    out: [[1, 1, 1, 2]],
    bound: 'exact',
    expect: [[12, 210]],
  }),
];

export const visionCases: readonly ConformanceCase[] = [...convolutions, ...shared, ...byHand, ...channels, ...pooled];
