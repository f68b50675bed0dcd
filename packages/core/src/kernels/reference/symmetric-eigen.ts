import { CircuitscopeError } from '@circuitscope/schema';
import { type Dense, fixSigns, scaledDown } from './dense.ts';

export interface SymmetricEigen {
  /** Largest first. */
  readonly values: Float64Array;
  /** [n, n], one column each, orthonormal. */
  readonly vectors: Dense;
}

/**
 * Eigenvalues and vectors of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, §8.5); what stands above the
 * diagonal is not read. Meant for up to a few hundred rows. @throws CircuitscopeError `not_finite`, `no_convergence`
 */
export function symmetricEigen(matrix: Dense): SymmetricEigen {
  const n = matrix.rows;
  const { scaled, power } = scaledDown(matrix, 'A symmetric matrix');
  const a = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (_, j) => scaled.data[Math.max(i, j) * n + Math.min(i, j)] as number),
  );
  const v = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const size = Math.sqrt(a.reduce((sum, row) => row.reduce((part, value) => part + value * value, sum), 0));
  for (let sweep = 0, turned = true; turned; sweep++) {
    if (sweep > 60) {
      throw new CircuitscopeError('no_convergence', 'The eigenvalues did not settle in 60 sweeps; rescale the matrix.');
    }
    turned = false;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const apart = (a[p] as Float64Array)[q] as number;
        if (Math.abs(apart) <= 1e-17 * size) continue;
        turned = true;
        const theta = (((a[q] as Float64Array)[q] as number) - ((a[p] as Float64Array)[p] as number)) / (2 * apart);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(1 + theta * theta));
        const c = 1 / Math.sqrt(1 + t * t);
        rotate(a, v, [p, q], [c, c * t]);
      }
    }
  }
  const found = a.map((row, at) => ({ value: row[at] as number, at }));
  found.sort((x, y) => y.value - x.value || x.at - y.at);
  const data = new Float64Array(n * n);
  v.forEach((row, i) => {
    found.forEach(({ at }, j) => {
      data[i * n + j] = row[at] as number;
    });
  });
  const vectors = { rows: n, columns: n, data };
  fixSigns(vectors);
  return { values: Float64Array.from(found, ({ value }) => value * power), vectors };
}

/** A ← JᵀAJ and V ← VJ for a turn in the plane of two axes. */
function rotate(
  a: readonly Float64Array[],
  v: readonly Float64Array[],
  [p, q]: readonly [number, number],
  [c, s]: readonly [number, number],
): void {
  for (const row of [...a, ...v]) {
    const [x, y] = [row[p] as number, row[q] as number];
    row[p] = c * x - s * y;
    row[q] = s * x + c * y;
  }
  const [upper, lower] = [a[p] as Float64Array, a[q] as Float64Array];
  for (let at = 0; at < upper.length; at++) {
    const [x, y] = [upper[at] as number, lower[at] as number];
    upper[at] = c * x - s * y;
    lower[at] = s * x + c * y;
  }
}
