import { CircuitscopeError } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { readWeight } from '../plan/index.ts';

// Weights as circuits see them, in float64: rows in, columns out. Reading weights have the gain of the norm before them
// multiplied in, and for layer norms the mean over the stream taken out, since the norm takes it out of what it reads; the
// same mean is taken out of writing weights, as nothing downstream can read it. So composition and effective weights are
// those of the folded view. Biases are no part of a matrix; the scale of a norm depends on the run and is left out, be it
// before the weights or, in some families, behind them, where only the gain counts; norms of queries and keys likewise.

/** Row-major [rows, columns]. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** W_Q, W_K or W_V of a query head: [model, d_head]. For grouped heads k and v come from the head that it shares. */
export function readingMatrix(model: Model, layer: number, head: number, port: 'q' | 'k' | 'v'): Matrix {
  const { headWidth, heads, kvHeads } = model.spec;
  const stored = port === 'q' ? head : Math.floor((head * kvHeads) / heads);
  const all = weightMatrix(model, `blocks.${layer}.attn.W_${port.toUpperCase()}`);
  return throughNorm(model, `blocks.${layer}.ln1`, columnBlock(all, stored * headWidth, headWidth));
}

/** W_O of a head: [d_head, model], with the gain of a norm behind it. */
export function writingMatrix(model: Model, layer: number, head: number): Matrix {
  const { headWidth, norm } = model.spec;
  const all = weightMatrix(model, `blocks.${layer}.attn.W_O`);
  const start = head * headWidth * all.columns;
  const block = { rows: headWidth, columns: all.columns, data: all.data.slice(start, start + headWidth * all.columns) };
  const written = norm?.kind === 'layer' ? transposed(centred(transposed(block))) : block;
  const gain = gainOf(model, `blocks.${layer}.ln1_post`);
  if (!gain) return written;
  return { ...written, data: written.data.map((value, at) => value * (gain[at % written.columns] ?? 1)) };
}

/** The gain of a norm that the model has. */
export function gainOf(model: Model, norm: string): ArrayLike<number> | null {
  return model.weights.has(`${norm}.w`) ? readWeight(model.weights, `${norm}.w`).data : null;
}

/** [vocab, model], as it enters the stream but for a norm behind it. */
export function embedding(model: Model): Matrix {
  const table = weightMatrix(model, 'embed.W_E');
  const { scale = 1 } = model.spec.embedding ?? {};
  return scale === 1 ? table : { ...table, data: table.data.map((value) => value * scale) };
}

/** [context, model], or null where positions are rotary. */
export function positions(model: Model): Matrix | null {
  return model.weights.has('pos_embed.W_pos') ? weightMatrix(model, 'pos_embed.W_pos') : null;
}

/** [model, vocab], or these tokens' columns alone, with the gain of the last norm. */
export function unembedding(model: Model, tokens?: readonly number[]): Matrix {
  const all = weightMatrix(model, 'unembed.W_U');
  return throughNorm(model, 'ln_final', tokens ? columnsOf(all, tokens) : all);
}

const cache = new WeakMap<Model, Map<string, Matrix>>();

function weightMatrix(model: Model, name: string): Matrix {
  const known = cache.get(model) ?? new Map<string, Matrix>();
  cache.set(model, known);
  let found = known.get(name);
  if (!found) {
    const { shape, data } = readWeight(model.weights, name);
    const [rows, columns] = shape;
    if (rows === undefined || columns === undefined)
      throw new CircuitscopeError('bad_model', `${name} is not a matrix.`, { at: name });
    found = { rows, columns, data: Float64Array.from(data) };
    known.set(name, found);
  }
  return found;
}

function throughNorm(model: Model, norm: string, matrix: Matrix): Matrix {
  // Some families read the stream without a norm before it.
  if (!model.spec.norm || (norm !== 'ln_final' && model.spec.block?.norms === 'post')) return matrix;
  const gain = gainOf(model, norm);
  const { rows, columns } = matrix;
  const data = gain ? matrix.data.map((value, at) => value * (gain[Math.floor(at / columns)] ?? 1)) : matrix.data;
  const scaled = { rows, columns, data };
  return model.spec.norm.kind === 'layer' ? centred(scaled) : scaled;
}

/** Every column minus its mean. */
function centred({ rows, columns, data }: Matrix): Matrix {
  const out = Float64Array.from(data);
  for (let column = 0; column < columns; column++) {
    let mean = 0;
    for (let row = 0; row < rows; row++) mean += (data[row * columns + column] ?? 0) / rows;
    for (let row = 0; row < rows; row++) out[row * columns + column] = (data[row * columns + column] ?? 0) - mean;
  }
  return { rows, columns, data: out };
}

function columnBlock(matrix: Matrix, from: number, count: number): Matrix {
  const data = new Float64Array(matrix.rows * count);
  for (let row = 0; row < matrix.rows; row++)
    data.set(matrix.data.subarray(row * matrix.columns + from, row * matrix.columns + from + count), row * count);
  return { rows: matrix.rows, columns: count, data };
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows)
    throw new CircuitscopeError(
      'shape_mismatch',
      `A ${a.rows} × ${a.columns} matrix cannot be multiplied with a ${b.rows} × ${b.columns} one.`,
    );
  const data = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let k = 0; k < a.columns; k++) {
      const x = a.data[i * a.columns + k] ?? 0;
      if (x !== 0)
        for (let j = 0; j < b.columns; j++)
          data[i * b.columns + j] = (data[i * b.columns + j] ?? 0) + x * (b.data[k * b.columns + j] ?? 0);
    }
  }
  return { rows: a.rows, columns: b.columns, data };
}

export function transposed(a: Matrix): Matrix {
  const data = new Float64Array(a.data.length);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < a.columns; j++) data[j * a.rows + i] = a.data[i * a.columns + j] ?? 0;
  return { rows: a.columns, columns: a.rows, data };
}

export function frobenius(a: Matrix): number {
  let sum = 0;
  for (const value of a.data) sum += value * value;
  return Math.sqrt(sum);
}

export function rowsOf(matrix: Matrix, rows: readonly number[]): Matrix {
  const data = new Float64Array(rows.length * matrix.columns);
  rows.forEach((row, index) => {
    data.set(matrix.data.subarray(row * matrix.columns, (row + 1) * matrix.columns), index * matrix.columns);
  });
  return { rows: rows.length, columns: matrix.columns, data };
}

function columnsOf(matrix: Matrix, columns: readonly number[]): Matrix {
  const data = new Float64Array(matrix.rows * columns.length);
  for (let row = 0; row < matrix.rows; row++) {
    columns.forEach((column, index) => {
      data[row * columns.length + index] = matrix.data[row * matrix.columns + column] ?? 0;
    });
  }
  return { rows: matrix.rows, columns: columns.length, data };
}
