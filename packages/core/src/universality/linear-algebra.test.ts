import { describe, expect, test } from 'vitest';
import { type Matrix, multiply, transposed } from '../circuits/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { nativeExecutor, referenceExecutor } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { decomposed, eigenvalues } from './decompose.ts';

const random = (rows: number, columns: number, seed: number): Matrix => {
  const rng = new Rng(seed, 'test');
  return { rows, columns, data: Float64Array.from({ length: rows * columns }, () => rng.normal()) };
};
const square = (...rows: readonly (readonly number[])[]): Matrix => ({
  rows: rows.length,
  columns: rows.length,
  data: Float64Array.from(rows.flat()),
});

const choice = await chooseNative({});
const executors = [
  { name: 'reference', executor: referenceExecutor() },
  ...(choice.kind === 'native' ? [{ name: 'native', executor: nativeExecutor(choice.addon) }] : []),
];

describe.each(executors)('the singular value decomposition, $name', ({ executor }) => {
  test.each([
    [7, 7],
    [20, 6],
    [5, 12],
  ])('of a random %i × %i matrix multiplies back, with orthonormal sides', async (rows, columns) => {
    const a = random(rows, columns, rows);
    const { left, values, right } = await decomposed(a, executor);
    const r = Math.min(rows, columns);
    const scaled = { ...left, data: left.data.map((value, at) => value * (values[at % r] as number)) };
    const back = multiply(scaled, transposed(right));
    back.data.forEach((value, at) => {
      expect(value).toBeCloseTo(a.data[at] as number, 12);
    });
    for (const side of [left, right])
      multiply(transposed(side), side).data.forEach((value, at) => {
        expect(value).toBeCloseTo(Math.floor(at / r) === at % r ? 1 : 0, 12);
      });
    expect([...values]).toEqual([...values].sort((x, y) => y - x));
  });

  test('of a matrix of rank 1 has one value', async () => {
    const a = multiply(random(6, 1, 3), random(1, 4, 4));
    const [first, ...rest] = (await decomposed(a, executor)).values;
    expect(first).toBeCloseTo(Math.sqrt(a.data.reduce((sum, value) => sum + value * value, 0)), 12);
    for (const value of rest) expect(value).toBeLessThan(1e-12);
  });
});

describe.each(executors)('eigenvalues, $name', ({ executor }) => {
  const sorted = async (matrix: Matrix) =>
    [...(await eigenvalues(matrix, executor))]
      .sort((a, b) => (Math.abs(a.re - b.re) > 1e-9 ? a.re - b.re : a.im - b.im))
      .map(({ re, im }) => [re, im]);

  test('of a triangle are its diagonal, of a rotation a pair on the circle, of nothing 0', async () => {
    expect((await sorted(square([3, 5, 1], [0, -2, 4], [0, 0, 1]))).flat()).toEqual(
      [-2, 0, 1, 0, 3, 0].map((value) => expect.closeTo(value, 12)),
    );
    expect((await sorted(square([0, -1], [1, 0]))).flat()).toEqual(
      [0, -1, 0, 1].map((value) => expect.closeTo(value, 12)),
    );
    expect((await sorted(square([0, 0], [0, 0]))).flat()).toEqual([0, 0, 0, 0]);
  });

  test('of a cycle of five are the fifth roots of 1, where plain shifts would never settle', async () => {
    const cycle = {
      rows: 5,
      columns: 5,
      data: Float64Array.from({ length: 25 }, (_, at) => (at % 5 === (Math.floor(at / 5) + 1) % 5 ? 1 : 0)),
    };
    const found = await eigenvalues(cycle, executor);
    for (const { re, im } of found) expect(Math.hypot(re, im)).toBeCloseTo(1, 10);
    expect(found.reduce((sum, { re }) => sum + re, 0)).toBeCloseTo(0, 10);
    expect(Math.max(...found.map(({ re }) => re))).toBeCloseTo(1, 10);
  });

  test('of a companion matrix are the roots it was made of', async () => {
    // (x − 1)(x − 2)(x − 3)(x² + 4) = x⁵ − 6x⁴ + 15x³ − 30x² + 44x − 24
    const companion = square([6, -15, 30, -44, 24], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]);
    expect((await sorted(companion)).flat()).toEqual(
      [0, -2, 0, 2, 1, 0, 2, 0, 3, 0].map((value) => expect.closeTo(value, 8)),
    );
  });

  test('of a turned matrix of low rank are few, the others 0 by rounding', async () => {
    const low = multiply(random(24, 5, 8), random(5, 24, 9));
    const sizes = (await eigenvalues(low, executor)).map(({ re, im }) => Math.hypot(re, im));
    expect(sizes.filter((size) => size > 1e-2)).toHaveLength(5);
    // Nilpotent blocks spread a rounding error of ε to ε^(1/k).
    expect(sizes.filter((size) => size < 1e-2)).toHaveLength(19);
  });

  test('that lie within 1e-6 of each other are found, as those of a head that copies each token alike', async () => {
    const noise = random(24, 24, 10);
    const data = noise.data.map((value, at) => 1e-7 * value + (at % 25 === 0 && at < 8 * 25 ? 5 : 0));
    const found = await eigenvalues({ ...noise, data }, executor);
    expect(found.filter(({ re }) => Math.abs(re - 5) < 1e-5)).toHaveLength(8);
    expect(found.filter(({ re }) => Math.abs(re) < 1e-5)).toHaveLength(16);
  });

  test.each([2, 3, 9, 24])(
    'of a random matrix of %i rows sum to its trace, their squares to that of its square',
    async (n) => {
      const a = random(n, n, n);
      const found = await eigenvalues(a, executor);
      const trace = (matrix: Matrix) =>
        Array.from({ length: n }, (_, i) => matrix.data[i * n + i] as number).reduce((x, y) => x + y, 0);
      expect(found).toHaveLength(n);
      expect(found.reduce((sum, { re }) => sum + re, 0)).toBeCloseTo(trace(a), 9);
      expect(found.reduce((sum, { im }) => sum + im, 0)).toBeCloseTo(0, 9);
      expect(found.reduce((sum, { re, im }) => sum + re * re - im * im, 0)).toBeCloseTo(trace(multiply(a, a)), 8);
    },
  );
});
