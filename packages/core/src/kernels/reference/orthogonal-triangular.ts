import { type Dense, scaledDown } from './dense.ts';

/**
 * Thin A = QR by Householder reflections (Golub and Van Loan, §5.2): Q [n, r] with orthonormal columns, R [r, p] above its
 * diagonal, which is not negative; r = min(n, p). @throws CircuitscopeError `not_finite`
 */
export function orthogonalTriangular(matrix: Dense): { readonly q: Dense; readonly r: Dense } {
  const { rows: n, columns: p } = matrix;
  const { scaled, power } = scaledDown(matrix, 'A matrix');
  const count = Math.min(n, p);
  const work = scaled.data.slice();
  const q = new Float64Array(n * count);
  for (let at = 0; at < count; at++) q[at * count + at] = 1;
  const reflections: { readonly v: Float64Array; readonly square: number }[] = [];
  for (let k = 0; k < count; k++) {
    const v = Float64Array.from({ length: n - k }, (_, i) => work[(k + i) * p + k] as number);
    const length = Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
    v[0] = (v[0] as number) + ((v[0] as number) >= 0 ? length : -length);
    const square = v.reduce((sum, value) => sum + value * value, 0);
    reflections.push({ v, square });
    reflect(work, p, k, v, square);
  }
  // Q = H₁ … H_r on the first columns of the unit matrix, so the last reflection comes first.
  for (let k = count - 1; k >= 0; k--) {
    const { v, square } = reflections[k] as (typeof reflections)[number];
    reflect(q, count, k, v, square);
  }
  const r = new Float64Array(count * p);
  for (let i = 0; i < count; i++) {
    const sign = (work[i * p + i] as number) < 0 ? -1 : 1;
    for (let j = i; j < p; j++) r[i * p + j] = sign * (work[i * p + j] as number) * power;
    if (sign < 0) for (let row = 0; row < n; row++) q[row * count + i] = -(q[row * count + i] as number);
  }
  return { q: { rows: n, columns: count, data: q }, r: { rows: count, columns: p, data: r } };
}

/** (1 − 2vvᵀ/|v|²) on the rows from k on. */
function reflect(data: Float64Array, width: number, k: number, v: Float64Array, square: number): void {
  if (square === 0) return;
  for (let j = 0; j < width; j++) {
    let sum = 0;
    for (let i = 0; i < v.length; i++) sum += (v[i] as number) * (data[(k + i) * width + j] as number);
    const factor = (2 * sum) / square;
    for (let i = 0; i < v.length; i++) {
      const at = (k + i) * width + j;
      data[at] = (data[at] as number) - factor * (v[i] as number);
    }
  }
}
