import { type IntTensor, Rng, type Tensor, tensor } from '../../tensor/index.ts';
import type { Bound, ConformanceCase } from '../conformance.ts';
import type { Allowed } from './bounds.ts';
import { buildCase, floats } from './build-case.ts';

const { NaN: nan } = Number;
const doubles = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensor(shape, Float64Array.from(values));

function noise(name: string, rows: number, columns: number, scale = 1): Tensor {
  const rng = new Rng(2026, `conformance/${name}`);
  return doubles(
    [rows, columns],
    Array.from({ length: rows * columns }, () => scale * rng.normal()),
  );
}

/** Float64 rounding, as often as a method of n steps may make it. */
const steps = (n: number): number => 32 * (n + 1) * 2 ** -52;

const dataOf = (value: Tensor | IntTensor | null | undefined): Float64Array => Float64Array.from(value?.data ?? []);

/**
 * Values are off by steps(n)·|A| (Weyl), a vector by that over the distance of its value from the nearest other one, and from
 * 0 where the matrix is not square (Davis and Kahan): nothing is promised where values are equal.
 */
const singular: Allowed = (call, oracle) => {
  const [n = 0, p = 0] = call.inputs[0]?.shape ?? [];
  const values = dataOf(oracle[1]);
  const r = values.length;
  const room = steps(Math.max(n, p)) * (values[0] ?? 0);
  const of = Array.from(values, (value, i) => {
    const apart = Array.from(values, (other, j) => (i === j ? Number.POSITIVE_INFINITY : Math.abs(value - other)));
    const gap = Math.min(...apart, n === p ? Number.POSITIVE_INFINITY : value);
    return value > 0 && gap > room ? (2 * room) / gap : Number.POSITIVE_INFINITY;
  });
  const side = (rows: number): Float64Array => Float64Array.from({ length: rows * r }, (_, at) => of[at % r] ?? 0);
  return [side(n), values.map(() => room), side(p)];
};

const symmetric: Allowed = (_call, oracle) => {
  const values = dataOf(oracle[0]);
  const n = values.length;
  const room = steps(n) * Math.max(0, ...values.map(Math.abs));
  const of = Array.from(values, (value, i) => {
    const gap = Math.min(...Array.from(values, (other, j) => (i === j ? Infinity : Math.abs(value - other))));
    return gap > room ? (2 * room) / gap : Number.POSITIVE_INFINITY;
  });
  return [values.map(() => room), Float64Array.from({ length: n * n }, (_, at) => of[at % n] ?? 0)];
};

/** Of matrices whose columns are far from dependent: the errors of Q and R grow with the condition, here at most some 1e4. */
const triangular: Allowed = (call, oracle) => {
  const size = Math.sqrt(dataOf(call.inputs[0]).reduce((sum, value) => sum + value * value, 0));
  const room = 1e4 * steps(Math.max(...(call.inputs[0]?.shape ?? [0])));
  return [dataOf(oracle[0]).fill(room), dataOf(oracle[1]).fill(room * size)];
};

/** Of matrices with simple eigenvalues that are not too ill conditioned. */
const spectrum: Allowed = (call, oracle) => {
  const size = Math.sqrt(dataOf(call.inputs[0]).reduce((sum, value) => sum + value * value, 0));
  const room = 1e3 * steps(oracle[0]?.data.length ?? 0) * size;
  return [dataOf(oracle[0]).fill(room), dataOf(oracle[1]).fill(room)];
};

const bounds = {
  svd: { allowed: singular, because: '32(n + 1)·2^-52·|A|, over the gap for vectors' },
  symmetric_eigen: { allowed: symmetric, because: '32(n + 1)·2^-52·|A|, over the gap for vectors' },
  qr: { allowed: triangular, because: '32(n + 1)·2^-52 times a condition up to 1e4' },
  eigenvalues: { allowed: spectrum, because: '32(n + 1)·2^-52·|A| times a condition up to 1e3' },
} as const satisfies { readonly [kernel: string]: Bound };

interface Given {
  readonly a: Tensor;
  readonly expect?: readonly (readonly number[])[];
  readonly fails?: string;
}

function decomposed(kernel: keyof typeof bounds, fact: string, { a, ...rest }: Given): ConformanceCase {
  const [n = 0, p = 0] = a.shape;
  const r = Math.min(n, p);
  const out = {
    svd: [[n, r], [r], [p, r]],
    symmetric_eigen: [[n], [n, n]],
    qr: [
      [n, r],
      [r, p],
    ],
    eigenvalues: [[n], [n]],
  };
  return buildCase(kernel, fact, { inputs: [a], out: out[kernel], bound: bounds[kernel], ...rest });
}

const sizes = [1, 2, 7, 8, 17, 33] as const;
const gram = (n: number): Tensor => {
  const x = noise(`gram/${n}`, n, n).data;
  return doubles(
    [n, n],
    Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return Array.from({ length: n }, (_, k) => (x[i * n + k] ?? 0) * (x[j * n + k] ?? 0)).reduce((a, b) => a + b, 0);
    }),
  );
};

const shapes: readonly (readonly [number, number])[] = [
  ...sizes.map((n) => [n, n] as const),
  [65, 9],
  [9, 65],
  [0, 5],
  [5, 0],
];

const decompositions: ConformanceCase[] = [
  ...shapes.flatMap(([n, p]) =>
    (['svd', 'qr'] as const).map((kernel) =>
      decomposed(kernel, `of ${n} × ${p}`, { a: noise(`${kernel}/${n}/${p}`, n, p) }),
    ),
  ),
  ...[0, ...sizes].map((n) => decomposed('symmetric_eigen', `of ${n} rows`, { a: gram(n) })),
  ...[0, ...sizes].map((n) => decomposed('eigenvalues', `of ${n} rows`, { a: noise(`eigenvalues/${n}`, n, n) })),
  ...[1e-300, 1e300].map((scale) =>
    decomposed('svd', `entries around ${scale} neither vanish nor overflow`, { a: noise('svd/scale', 6, 4, scale) }),
  ),
  decomposed('svd', 'by hand: the largest entry on the left is positive', {
    a: doubles([2, 2], [0, -2, -3, 0]),
    expect: [
      [0, 1, 1, 0],
      [3, 2],
      [-1, 0, 0, -1],
    ],
  }),
  decomposed('symmetric_eigen', 'by hand; what is above the diagonal is not read', {
    a: doubles([2, 2], [2, 777, 1, 2]),
    expect: [[3, 1], [Math.SQRT1_2, Math.SQRT1_2, Math.SQRT1_2, -Math.SQRT1_2].map((value) => value)],
  }),
  decomposed('qr', 'by hand: the diagonal is not negative', {
    a: doubles([2, 2], [-3, 1, -4, 2]),
    expect: [
      [-0.6, -0.8, -0.8, 0.6],
      [5, -2.2, 0, 0.4],
    ],
  }),
  decomposed('eigenvalues', 'of a rotation are a pair on the circle', {
    a: doubles([3, 3], [0, -1, 0, 1, 0, 0, 0, 0, 5]),
    expect: [
      [5, 0, 0],
      [0, 1, -1],
    ],
  }),
  decomposed('svd', 'of nothing but zeros', { a: doubles([3, 2], [0, 0, 0, 0, 0, 0]) }),
  ...(['svd', 'qr', 'symmetric_eigen', 'eigenvalues'] as const).map((kernel) =>
    decomposed(kernel, 'of NaN is an error', { a: doubles([2, 2], [1, nan, nan, 1]), fails: 'not_finite' }),
  ),
];

function assigned(fact: string, n: number, m: number, costs: readonly number[], expect?: ConformanceCase['expect']) {
  return buildCase('assign', fact, {
    inputs: [doubles([n, m], costs)],
    out: [[n], [1]],
    bound: 'exact',
    ...(expect ? { expect } : {}),
  });
}

const assignments: ConformanceCase[] = [
  ...[...shapes, [40, 25] as const, [25, 40] as const].map(([n, m]) =>
    assigned(`${n} × ${m}`, n, m, [...noise(`assign/${n}/${m}`, n, m).data]),
  ),
  assigned('by hand', 3, 3, [4, 1, 3, 2, 0, 5, 3, 2, 2], [[1, 0, 2], [5]]),
  assigned('of equals the reference says which', 4, 4, Array(16).fill(1)),
  ...[5, 12].map((n) => {
    const rng = new Rng(n, 'conformance/assign');
    return assigned(
      `many ties in ${n} rows`,
      n,
      9,
      Array.from({ length: n * 9 }, () => rng.below(3)),
    );
  }),
  buildCase('assign', 'a cost that is not finite is an error', {
    inputs: [doubles([1, 2], [1, Number.POSITIVE_INFINITY])],
    out: [[1], [1]],
    bound: 'exact',
    fails: 'not_finite',
  }),
  buildCase('assign', 'costs in float32 are widened', {
    inputs: [floats([1, 2], [0.5, 0.25])],
    out: [[1], [1]],
    bound: 'exact',
    expect: [[1], [0.25]],
  }),
];

export const decompositionCases: readonly ConformanceCase[] = [...decompositions, ...assignments];
