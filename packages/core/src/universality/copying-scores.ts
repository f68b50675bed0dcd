import type { Model } from '../architectures/index.ts';
import {
  embedding,
  type Matrix,
  multiply,
  readingMatrix,
  transposed,
  unembedding,
  writingMatrix,
} from '../circuits/index.ts';
import type { Executor } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { type Eigenvalue, eigenvalues } from './decompose.ts';

/** Larger vocabularies are sampled: the score is then of these tokens among themselves. */
const MOST_TOKENS = 1024;

/**
 * How far each head raises the logit of what it reads: Σλ / Σ|λ| over the eigenvalues of W_E W_OV W_U, from −1 to 1
 * (Elhage et al. 2021). They are those of W_O (W_U W_E) W_V, d_head × d_head. Norms enter by their gains alone; what passes
 * through an MLP does not enter. 0 for a head that writes nothing. By layer, then head.
 */
export async function copyingScores(model: Model, executor?: Executor): Promise<Float64Array> {
  const { layers, heads, vocab } = model.spec;
  const all = Array.from({ length: vocab }, (_, id) => id);
  const tokens =
    vocab <= MOST_TOKENS
      ? all
      : new Rng(0, 'universality/copying-tokens')
          .shuffle(all)
          .slice(0, MOST_TOKENS)
          .sort((a, b) => a - b);
  const around = multiply(unembedding(model, tokens), rowsOf(embedding(model), tokens));
  const scores = new Float64Array(layers * heads);
  for (let at = 0; at < scores.length; at++) {
    const [layer, head] = [Math.floor(at / heads), at % heads];
    const [out, value] = [writingMatrix(model, layer, head), readingMatrix(model, layer, head, 'v')];
    const values = await eigenvalues(multiply(multiply(out, around), value), executor);
    scores[at] = share(values, norm(out) * norm(around) * norm(value));
  }
  return scores;
}

/** Below this share of what the factors could give, weights in float32 hold nothing but their rounding. */
const ROUNDING = 1e-5;

function share(values: readonly Eigenvalue[], most: number): number {
  // √ of the sum of squares, not Math.hypot: runtimes differ in the last bits of that.
  const size = values.reduce((sum, { re, im }) => sum + Math.sqrt(re * re + im * im), 0);
  return size > ROUNDING * most ? values.reduce((sum, { re }) => sum + re, 0) / size : 0;
}

function norm({ data }: Matrix): number {
  return Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));
}

function rowsOf(matrix: Matrix, rows: readonly number[]): Matrix {
  if (rows.length === matrix.rows) return matrix;
  return transposed({
    rows: matrix.columns,
    columns: rows.length,
    data: Float64Array.from(
      { length: matrix.columns * rows.length },
      (_, at) =>
        matrix.data[(rows[at % rows.length] as number) * matrix.columns + Math.floor(at / rows.length)] as number,
    ),
  });
}
