import type { Model } from '../architectures/index.ts';
import { Rng } from '../tensor/index.ts';
import { type Matrix, multiply, readingMatrix, transposed, writingMatrix } from './head-matrices.ts';

export interface Composition {
  /** ‖W_OV¹ R‖ / (‖W_OV¹‖ ‖R‖): how much of what head 1 writes lies where head 2 reads. Never negative, no sign. */
  readonly raw: number;
  /** The mean of the same for random matrices of the same shapes and ranks. */
  readonly baseline: number;
}

/**
 * Composition of an earlier head with the q, k or v of a later one (Elhage et al. 2021). R is W_QK for q, its transpose
 * for k, W_OV for v. `to` is a query head. All norms come from d_head × d_head products; no d_model² matrix is made.
 */
export function composition(
  model: Model,
  from: { layer: number; head: number },
  to: { layer: number; head: number },
  port: 'q' | 'k' | 'v',
): Composition {
  const writer = {
    left: readingMatrix(model, from.layer, from.head, 'v'),
    right: writingMatrix(model, from.layer, from.head),
  };
  return {
    raw: ratio(writer, readerFactors(model, to, port)),
    baseline: randomBaseline(model.spec.width, model.spec.headWidth),
  };
}

/** A matrix of low rank, left · right. */
interface Factored {
  readonly left: Matrix;
  readonly right: Matrix;
}

function readerFactors(
  model: Model,
  { layer, head }: { layer: number; head: number },
  port: 'q' | 'k' | 'v',
): Factored {
  const q = readingMatrix(model, layer, head, 'q');
  const k = readingMatrix(model, layer, head, 'k');
  if (port === 'q') return { left: q, right: transposed(k) };
  if (port === 'k') return { left: k, right: transposed(q) };
  return { left: readingMatrix(model, layer, head, 'v'), right: writingMatrix(model, layer, head) };
}

function ratio(a: Factored, b: Factored): number {
  const middle = multiply(a.right, b.left);
  const norms = norm(a) * norm(b);
  return norms > 0 ? norm({ left: multiply(a.left, middle), right: b.right }) / norms : 0;
}

/** ‖L R‖² = tr(LᵀL · R Rᵀ). */
function norm({ left, right }: Factored): number {
  const gram = multiply(transposed(left), left);
  const outer = multiply(right, transposed(right));
  let trace = 0;
  for (let i = 0; i < gram.rows; i++)
    for (let j = 0; j < gram.columns; j++)
      trace += (gram.data[i * gram.columns + j] ?? 0) * (outer.data[j * outer.columns + i] ?? 0);
  return Math.sqrt(Math.max(trace, 0));
}

const baselines = new Map<string, number>();

/** Mean over 16 pairs of Gaussian matrices with these shapes; a fixed seed, so a number of the shape alone. */
export function randomBaseline(width: number, headWidth: number): number {
  const key = `${width}×${headWidth}`;
  const known = baselines.get(key);
  if (known !== undefined) return known;
  const rng = new Rng(0, `circuits/composition/${key}`);
  const gaussian = (rows: number, columns: number): Matrix => ({
    rows,
    columns,
    data: Float64Array.from({ length: rows * columns }, () => rng.normal()),
  });
  const pairs = 16;
  let sum = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const factored = (): Factored => ({ left: gaussian(width, headWidth), right: gaussian(headWidth, width) });
    sum += ratio(factored(), factored());
  }
  baselines.set(key, sum / pairs);
  return sum / pairs;
}
