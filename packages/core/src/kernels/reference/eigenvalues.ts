import { CircuitscopeError } from '@circuitscope/schema';
import { type Dense, scaledDown } from './dense.ts';

export interface Eigenvalue {
  readonly re: number;
  readonly im: number;
}

/** Complex, row-major. */
interface Complex {
  readonly n: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/**
 * Eigenvalues of a real square matrix: Householder reduction to Hessenberg form, then QR steps with one complex shift each
 * (Golub and Van Loan, ch. 7). The doubly shifted real form was rejected: in matrices of low rank, as heads have, its
 * shifts are lost on the way down. Meant for the d_head × d_head products of heads; conjugate pairs agree up to rounding.
 * Largest real part first; among those that agree to 2^-30 of the largest value the largest imaginary part first.
 * @throws CircuitscopeError `shape_mismatch`, `not_finite`, `no_convergence`
 */
export function eigenvalues(matrix: Dense): readonly Eigenvalue[] {
  const { rows: n, columns } = matrix;
  if (n !== columns)
    throw new CircuitscopeError('shape_mismatch', `Eigenvalues need a square matrix; got ${n} × ${columns}.`);
  const { scaled, power } = scaledDown(matrix, 'A square matrix');
  const { data } = scaled;
  const rows = Array.from({ length: n }, (_, i) => data.slice(i * n, (i + 1) * n));
  toHessenberg(rows);
  const h: Complex = { n, re: Float64Array.from(rows.flatMap((row) => [...row])), im: new Float64Array(n * n) };
  const size = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));
  const found: Eigenvalue[] = [];
  let steps = 0;
  for (let last = n - 1; last >= 0; ) {
    let first = last;
    while (first > 0 && magnitude(h, first * n + first - 1) > 1e-15 * size) first--;
    if (first === last) {
      found.push({ re: h.re[last * n + last] as number, im: h.im[last * n + last] as number });
      last -= 1;
      steps = 0;
    } else {
      if (++steps > 100) throw new CircuitscopeError('no_convergence', 'The eigenvalues did not settle in 100 steps.');
      step(h, first, last, shiftOf(h, last, steps % 10 === 0));
    }
  }
  const largest = found.reduce((most, { re, im }) => Math.max(most, Math.abs(re), Math.abs(im)), 0);
  // Rounding parts the real parts of a pair, so that they are compared at 2^-30 of the largest value.
  const place = (value: Eigenvalue): number => Math.round((value.re / (largest || 1)) * 2 ** 30);
  found.sort((x, y) => place(y) - place(x) || y.im - x.im);
  return found.map(({ re, im }) => ({ re: re * power, im: im * power }));
}

function toHessenberg(h: readonly Float64Array[]): void {
  const n = h.length;
  for (let k = 0; k < n - 2; k++) {
    const v = Float64Array.from({ length: n - k - 1 }, (_, i) => h[k + 1 + i]?.[k] as number);
    const norm = Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
    if (norm === 0) continue;
    v[0] = (v[0] as number) + ((v[0] as number) >= 0 ? norm : -norm);
    const square = v.reduce((sum, value) => sum + value * value, 0);
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let i = 0; i < v.length; i++) sum += (v[i] as number) * (h[k + 1 + i]?.[j] as number);
      for (let i = 0; i < v.length; i++) {
        const row = h[k + 1 + i] as Float64Array;
        row[j] = (row[j] as number) - (2 * sum * (v[i] as number)) / square;
      }
    }
    for (const row of h) {
      let sum = 0;
      for (let j = 0; j < v.length; j++) sum += (row[k + 1 + j] as number) * (v[j] as number);
      for (let j = 0; j < v.length; j++)
        row[k + 1 + j] = (row[k + 1 + j] as number) - (2 * sum * (v[j] as number)) / square;
    }
  }
}

/** The eigenvalue of the last 2 × 2 block that lies nearer to its corner; now and then another, against going in circles. */
function shiftOf(h: Complex, last: number, exceptional: boolean): Eigenvalue {
  const at = (i: number, j: number): Eigenvalue => ({
    re: h.re[i * h.n + j] as number,
    im: h.im[i * h.n + j] as number,
  });
  const [a, b, c, d] = [at(last - 1, last - 1), at(last - 1, last), at(last, last - 1), at(last, last)];
  if (exceptional) {
    const away = Math.sqrt(c.re * c.re + c.im * c.im);
    return { re: d.re + away, im: d.im + away / 2 };
  }
  // λ = d + bc / (half ± √(half² + bc)) with half = (d − a)/2, the sign that makes the denominator large.
  const half = { re: (d.re - a.re) / 2, im: (d.im - a.im) / 2 };
  const product = times(b, c);
  const square = times(half, half);
  const root = squareRoot({ re: square.re + product.re, im: square.im + product.im });
  const sign = half.re * root.re + half.im * root.im >= 0 ? 1 : -1;
  const below = { re: half.re + sign * root.re, im: half.im + sign * root.im };
  const length = below.re * below.re + below.im * below.im;
  if (length === 0) return d;
  return {
    re: d.re + (product.re * below.re + product.im * below.im) / length,
    im: d.im + (product.im * below.re - product.re * below.im) / length,
  };
}

/** H − sI = QR, H ← RQ + sI on rows and columns first … last, Q as Givens rotations. */
function step({ n, re, im }: Complex, first: number, last: number, shift: Eigenvalue): void {
  for (let i = first; i <= last; i++) {
    re[i * n + i] = (re[i * n + i] as number) - shift.re;
    im[i * n + i] = (im[i * n + i] as number) - shift.im;
  }
  // Rotation k: rows k, k + 1 ← [ā, b̄; −b, a] rows, with (a, b) the unit vector along their entries in column k.
  const turns: { readonly a: Eigenvalue; readonly b: Eigenvalue }[] = [];
  for (let k = first; k < last; k++) {
    const [top, below] = [k * n + k, (k + 1) * n + k];
    const length = Math.sqrt(
      (re[top] as number) ** 2 + (im[top] as number) ** 2 + (re[below] as number) ** 2 + (im[below] as number) ** 2,
    );
    const unit = (at: number): Eigenvalue => ({ re: (re[at] as number) / length, im: (im[at] as number) / length });
    const a = length > 0 ? unit(top) : { re: 1, im: 0 };
    const b = length > 0 ? unit(below) : { re: 0, im: 0 };
    turns.push({ a, b });
    for (let j = k; j <= last; j++) {
      const x = { re: re[k * n + j] as number, im: im[k * n + j] as number };
      const y = { re: re[(k + 1) * n + j] as number, im: im[(k + 1) * n + j] as number };
      re[k * n + j] = a.re * x.re + a.im * x.im + b.re * y.re + b.im * y.im;
      im[k * n + j] = a.re * x.im - a.im * x.re + b.re * y.im - b.im * y.re;
      re[(k + 1) * n + j] = a.re * y.re - a.im * y.im - b.re * x.re + b.im * x.im;
      im[(k + 1) * n + j] = a.re * y.im + a.im * y.re - b.re * x.im - b.im * x.re;
    }
  }
  turns.forEach(({ a, b }, index) => {
    const k = first + index;
    for (let i = first; i <= Math.min(k + 1, last); i++) {
      const x = { re: re[i * n + k] as number, im: im[i * n + k] as number };
      const y = { re: re[i * n + k + 1] as number, im: im[i * n + k + 1] as number };
      re[i * n + k] = a.re * x.re - a.im * x.im + b.re * y.re - b.im * y.im;
      im[i * n + k] = a.re * x.im + a.im * x.re + b.re * y.im + b.im * y.re;
      re[i * n + k + 1] = a.re * y.re + a.im * y.im - b.re * x.re - b.im * x.im;
      im[i * n + k + 1] = a.re * y.im - a.im * y.re - b.re * x.im + b.im * x.re;
    }
  });
  for (let i = first; i <= last; i++) {
    re[i * n + i] = (re[i * n + i] as number) + shift.re;
    im[i * n + i] = (im[i * n + i] as number) + shift.im;
  }
}

function times(x: Eigenvalue, y: Eigenvalue): Eigenvalue {
  return { re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re };
}

function squareRoot({ re, im }: Eigenvalue): Eigenvalue {
  const size = Math.sqrt(re * re + im * im);
  const wide = Math.sqrt((size + Math.abs(re)) / 2);
  if (wide === 0) return { re: 0, im: 0 };
  const narrow = im / (2 * wide);
  return re >= 0 ? { re: wide, im: narrow } : { re: Math.abs(narrow), im: im < 0 ? -wide : wide };
}

function magnitude({ re, im }: Complex, at: number): number {
  return Math.sqrt((re[at] as number) ** 2 + (im[at] as number) ** 2);
}
