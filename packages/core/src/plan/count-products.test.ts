import { expect, test } from 'vitest';
import { countProducts } from './count-products.ts';
import type { Program } from './program.ts';
import type { Weights } from './weights.ts';

const weights: Weights = new Map(
  [
    { name: 'W', shape: [6, 10] },
    { name: 'K', shape: [5, 3, 2, 2] },
  ].map(({ name, shape }) => [name, { name, shape, read: () => new Float32Array(shape.reduce((a, b) => a * b, 1)) }]),
);

/** A program of one step over values of these shapes, of which the last is its output. */
function one(kernel: string, shapes: (number | string)[][], params: readonly string[], attrs = {}): Program {
  return {
    version: 1,
    values: shapes.map((shape, slot) => ({ shape, dtype: 'f32', slot })),
    slots: shapes.length,
    inputs: [],
    params,
    steps: [
      {
        kernel,
        in: shapes.slice(0, -1).map((_, at) => at),
        out: [shapes.length - 1],
        params: params.map((_, at) => at),
        attrs,
      },
    ],
    outputs: [],
  };
}

const sizes = { rows: 3, pos: 4 };

test('a product costs rows × inputs × outputs, whichever way the matrix is read', () => {
  expect(
    countProducts(
      one(
        'linear',
        [
          ['rows', 'pos', 6],
          ['rows', 'pos', 10],
        ],
        ['W'],
      ),
      sizes,
      weights,
    ),
  ).toBe(3 * 4 * 60);
  const back = one(
    'linear',
    [
      ['rows', 'pos', 10],
      ['rows', 'pos', 6],
    ],
    ['W'],
    { transposed: true },
  );
  expect(countProducts(back, sizes, weights)).toBe(3 * 4 * 60);
  const place = ['rows', 'pos', 6];
  const statistics = (inputs: (number | string)[][]) =>
    countProducts(one('vocab_statistics', [...inputs, ['rows', 'pos', 5]], ['W']), sizes, weights);
  expect(statistics([place])).toBe(3 * 4 * 60);
  expect(statistics([place, ['rows', 'pos'], place])).toBe(2 * 3 * 4 * 60);
});

test('attention costs every pair of query and key, twice a head', () => {
  const shapes = [
    ['rows', 'pos', 2, 5],
    ['rows', 7, 1, 5],
    ['rows', 'pos', 2, 5],
  ];
  expect(countProducts(one('attention', shapes, []), sizes, weights)).toBe(3 * 2 * (2 * 4 * 7 * 5));
});

test('two columns of an unembedding cost two columns', () => {
  expect(
    countProducts(
      one(
        'columns',
        [
          ['rows', 1, 6],
          ['rows', 2],
          ['rows', 1, 2],
        ],
        ['W'],
      ),
      sizes,
      weights,
    ),
  ).toBe(3 * 6 * 2);
});

test('a convolution costs its kernel at each place it goes to', () => {
  const net = one(
    'conv2d',
    [
      ['rows', 3, 9, 9],
      ['rows', 5, 8, 8],
    ],
    ['K'],
  );
  expect(countProducts(net, sizes, weights)).toBe(3 * 64 * 60);
});

test('what is no product counts nothing', () => {
  expect(
    countProducts(
      one(
        'activation',
        [
          ['rows', 'pos'],
          ['rows', 'pos'],
        ],
        [],
      ),
      sizes,
      weights,
    ),
  ).toBe(0);
});
