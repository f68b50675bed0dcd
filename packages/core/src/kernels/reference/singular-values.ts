import { CircuitscopeError } from '@circuitscope/schema';
import { type Dense, fixSigns, scaledDown } from './dense.ts';

export interface SingularValues {
  /** [n, r], columns orthonormal where the singular value is above 0. */
  readonly left: Dense;
  /** r = min(n, p) values, largest first. */
  readonly values: Float64Array;
  /** [p, r] */
  readonly right: Dense;
}

/**
 * Thin singular value decomposition A = U S Vᵀ by one-sided Jacobi rotations (Hestenes 1958): columns are turned in pairs
 * until all are orthogonal. Small singular values come out with small relative error; meant for up to a few hundred columns.
 * In each column of the left side the largest entry, the first of equals, is positive; where the value is 0 it is all 0.
 * @throws CircuitscopeError `no_convergence`, `not_finite`
 */
export function singularValues(matrix: Dense): SingularValues {
  const { scaled, power } = scaledDown(matrix, 'A matrix');
  const { left, values, right } = rotated(scaled);
  fixSigns(left, right);
  return { left, values: values.map((value) => value * power), right };
}

function rotated(a: Dense): SingularValues {
  if (a.rows < a.columns) {
    const { left, values, right } = rotated(flipped(a));
    return { left: right, values, right: left };
  }
  const { rows: n, columns: p } = a;
  // Columns lie together: [p, n] and [p, p].
  const columns = Array.from({ length: p }, (_, j) =>
    Float64Array.from({ length: n }, (_, i) => a.data[i * p + j] as number),
  );
  const turns = Array.from({ length: p }, (_, j) => Float64Array.from({ length: p }, (_, i) => (i === j ? 1 : 0)));
  let turned = true;
  for (let sweep = 0; turned; sweep++) {
    if (sweep > 60)
      throw new CircuitscopeError(
        'no_convergence',
        'The singular values did not settle in 60 sweeps; rescale the matrix.',
      );
    turned = false;
    for (let i = 0; i < p; i++) {
      for (let j = i + 1; j < p; j++) {
        const [x, y] = [columns[i] as Float64Array, columns[j] as Float64Array];
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy)) continue;
        turned = true;
        const zeta = (yy - xx) / (2 * xy);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t);
        turn(x, y, c, c * t);
        turn(turns[i] as Float64Array, turns[j] as Float64Array, c, c * t);
      }
    }
  }
  const sizes = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = Array.from({ length: p }, (_, at) => at).sort((i, j) => (sizes[j] as number) - (sizes[i] as number));
  const values = Float64Array.from(order, (at) => sizes[at] as number);
  const pick = (from: readonly Float64Array[], rows: number, scaled: boolean): Dense => ({
    rows,
    columns: p,
    data: Float64Array.from({ length: rows * p }, (_, at) => {
      const [row, k] = [Math.floor(at / p), order[at % p] as number];
      const size = scaled ? (sizes[k] as number) : 1;
      return size > 0 ? (from[k]?.[row] as number) / size : 0;
    }),
  });
  return { left: pick(columns, n, true), values, right: pick(turns, p, false) };
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < x.length; at++) sum += (x[at] as number) * (y[at] as number);
  return sum;
}

function turn(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let at = 0; at < x.length; at++) {
    const [a, b] = [x[at] as number, y[at] as number];
    x[at] = c * a - s * b;
    y[at] = s * a + c * b;
  }
}

function flipped({ rows, columns, data }: Dense): Dense {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j] as number;
  return { rows: columns, columns: rows, data: out };
}
