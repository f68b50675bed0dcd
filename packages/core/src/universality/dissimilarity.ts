import type { Matrix } from '../circuits/index.ts';
import { covariance, spearman } from '../statistics/index.ts';
import { checkRows, type Representations } from './linear-cka.ts';

// Representational similarity analysis (Kriegeskorte et al. 2008): each model says how unlike two stimuli are to it, and
// these judgements are compared. No unit of one model is held against a unit of the other.

export type DissimilarityKind = 'correlation' | 'squared_euclidean_per_dimension';

/** The upper triangle of the dissimilarities of all pairs of rows, n(n − 1)/2 of them. */
export function dissimilarities({ rows, columns, data }: Matrix, kind: DissimilarityKind): Float64Array {
  const row = (at: number): Float64Array => data.subarray(at * columns, (at + 1) * columns);
  const out = new Float64Array((rows * (rows - 1)) / 2);
  let next = 0;
  for (let i = 0; i < rows; i++)
    for (let j = i + 1; j < rows; j++)
      out[next++] = kind === 'correlation' ? 1 - correlation(row(i), row(j)) : meanSquare(row(i), row(j));
  return out;
}

export interface RepresentationalSimilarity {
  readonly pearson: number;
  readonly spearman: number;
  /** Kendall's τ-a: ties count as neither, so models that predict ties are not favoured. */
  readonly kendallTauA: number;
  readonly cosine: number;
}

/** How alike the dissimilarities of two models are, by the four measures in use. */
export function rsa({ x, y }: Representations, kind: DissimilarityKind): RepresentationalSimilarity {
  checkRows({ x, y }, 3);
  const [a, b] = [dissimilarities(x, kind), dissimilarities(y, kind)];
  const dot = (u: Float64Array, v: Float64Array): number =>
    u.reduce((sum, value, at) => sum + value * (v[at] as number), 0);
  return {
    pearson: correlation(a, b),
    spearman: spearman(a, b).value,
    kendallTauA: kendallTauA(a, b),
    cosine: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
  };
}

/** Pearson's correlation; NaN where one side does not vary. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return covariance(a, b) / Math.sqrt(covariance(a, a) * covariance(b, b));
}

function kendallTauA(a: Float64Array, b: Float64Array): number {
  let agreement = 0;
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < i; j++)
      agreement += Math.sign((a[i] as number) - (a[j] as number)) * Math.sign((b[i] as number) - (b[j] as number));
  return agreement / ((a.length * (a.length - 1)) / 2);
}

function meanSquare(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, at) => sum + (value - (b[at] as number)) ** 2, 0) / a.length;
}
