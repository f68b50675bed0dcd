import { CircuitscopeError } from '@circuitscope/schema';
import { type Matrix, multiply, transposed } from '../circuits/index.ts';

/** Two representations of the same stimuli, one row each, in the same order. Widths may differ. */
export interface Representations {
  readonly x: Matrix;
  readonly y: Matrix;
}

/**
 * Linear centred kernel alignment, |XᵀY|² / (|XᵀX| |YᵀY|) of centred columns (Kornblith et al. 2019). 1 for equal up to
 * rotation, translation and scale. Far above 0 for unrelated data unless there are many more stimuli than dimensions:
 * then `debiasedCka` is the one to read.
 * @throws CircuitscopeError `shape_mismatch`, `constant`
 */
export function biasedCka({ x, y }: Representations): number {
  checkRows({ x, y }, 2);
  const [a, b] = [centredColumns(x), centredColumns(y)];
  const own = Math.sqrt(squared(product(a, a)) * squared(product(b, b)));
  return squared(product(a, b)) / requireSpread(own);
}

/**
 * The same with the unbiased estimate of HSIC (Song et al. 2012; Nguyen et al. 2021): near 0 for unrelated data whatever
 * the sizes, and so sometimes negative, which is left as it is. The ratio is still slightly biased. Needs 4 stimuli.
 */
export function debiasedCka({ x, y }: Representations): number {
  checkRows({ x, y }, 4);
  const [a, b] = [centredColumns(x), centredColumns(y)];
  const [lengthsA, lengthsB] = [rowSquares(a), rowSquares(b)];
  const own = hsic(squared(product(a, a)), lengthsA, lengthsA) * hsic(squared(product(b, b)), lengthsB, lengthsB);
  return hsic(squared(product(a, b)), lengthsA, lengthsB) / Math.sqrt(requireSpread(own));
}

/**
 * The unbiased estimate without any n × n matrix, up to the factor 1/(n(n − 3)) that the ratio loses. With centred columns
 * the rows of K sum to 0, so those of K without its diagonal to −aᵢ, aᵢ = |xᵢ|², and
 * Σ(K̃∘L̃) + (1ᵀK̃1)(1ᵀL̃1)/((n−1)(n−2)) − 2/(n−2) (K̃1)·(L̃1) becomes |XᵀY|² − n/(n−2) Σaᵢbᵢ + ΣaΣb/((n−1)(n−2)).
 */
function hsic(cross: number, a: Float64Array, b: Float64Array): number {
  const n = a.length;
  const total = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);
  const together = a.reduce((sum, value, row) => sum + value * (b[row] as number), 0);
  return cross - (n / (n - 2)) * together + (total(a) * total(b)) / ((n - 1) * (n - 2));
}

export function checkRows({ x, y }: Representations, least: number): void {
  if (x.rows !== y.rows || x.rows < least) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `Two representations are compared on the same stimuli, at least ${least}; got ${x.rows} and ${y.rows}.`,
      { expected: `at least ${least} rows each`, got: `${x.rows} and ${y.rows}` },
    );
  }
}

/** A column that varies by rounding alone does not vary: it becomes 0. */
export function centredColumns({ rows, columns, data }: Matrix): Matrix {
  const means = new Float64Array(columns);
  data.forEach((value, at) => {
    means[at % columns] = (means[at % columns] as number) + value;
  });
  return {
    rows,
    columns,
    data: data.map((value, at) => {
      const mean = (means[at % columns] as number) / rows;
      return Math.abs(value - mean) <= 1e-13 * Math.abs(mean) ? 0 : value - mean;
    }),
  };
}

const product = (a: Matrix, b: Matrix): Matrix => multiply(transposed(a), b);

export function squared({ data }: Matrix): number {
  return data.reduce((sum, value) => sum + value * value, 0);
}

function rowSquares({ rows, columns, data }: Matrix): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) =>
    data.subarray(row * columns, (row + 1) * columns).reduce((sum, value) => sum + value * value, 0),
  );
}

export function requireSpread(value: number): number {
  if (value > 0) return value;
  throw new CircuitscopeError(
    'constant',
    'A representation that is the same for all stimuli is like nothing; take other stimuli or another site.',
  );
}
