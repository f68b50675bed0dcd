import { type Folding, findWeight, type Weight, type Weights } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';

/** A weight of the folded view: nothing is computed before it is read, and nothing is kept. */
export function foldedWeight(name: string, shape: readonly number[], folding: Folding, stored: Weights): Weight {
  const size = shape.reduce((a, b) => a * b, 1);
  const sources = sourcesOf(folding).map((source) => findWeight(stored, source));
  const changing = sources.some(({ version }) => version !== undefined)
    ? { version: () => sources.reduce((sum, source) => sum + (source.version?.() ?? 0), 0) }
    : {};
  if (folding.kind === 'bias') {
    return { name, shape, read: () => foldedBias(folding, stored, size), folded: { folding, of: stored }, ...changing };
  }
  const [source] = sources;
  // A table that is only turned round, or stands alone as it is stored, stays a view of the file.
  const same = !folding.gain && !folding.centreColumns && !folding.centreRows;
  const strides = folding.transposed ? [...(source?.mapping?.strides ?? [])].reverse() : source?.mapping?.strides;
  const view = same && source?.mapping && strides ? { mapping: { ...source.mapping, strides } } : {};
  return {
    name,
    shape,
    read: () => fillMatrix(new Float64Array(size), folding, stored),
    readRounded: () => fillMatrix(new Float32Array(size), folding, stored),
    folded: { folding, of: stored },
    ...view,
    ...changing,
  };
}

function sourcesOf(folding: Folding): string[] {
  const { from } = folding;
  const own = from === null ? [] : [from];
  if (folding.kind === 'matrix') return folding.gain === null ? own : [...own, folding.gain];
  const { shift, values } = folding;
  return [
    ...own,
    ...(shift ? [shift.vector, shift.matrix] : []),
    ...(values ? [...sourcesOf(values.bias), values.matrix] : []),
  ];
}

/** gain ⊙ W, less its mean over rows where it is read behind a layer norm, less its mean over columns where asked. */
function fillMatrix<T extends Floats>(out: T, of: Extract<Folding, { kind: 'matrix' }>, stored: Weights): T {
  const source = findWeight(stored, of.from);
  const data = source.read();
  const gain = of.gain === null ? null : findWeight(stored, of.gain).read();
  const [rows, columns] = of.transposed
    ? [source.shape[1] ?? 0, source.shape[0] ?? 0]
    : [source.shape[0] ?? 0, source.shape[1] ?? 0];
  const [down, across] = of.transposed ? [1, rows] : [columns, 1];
  const columnMeans = new Float64Array(columns);
  if (of.centreColumns) {
    for (let row = 0; row < rows; row++) {
      const factor = gain ? gain[row]! : 1;
      for (let column = 0; column < columns; column++)
        columnMeans[column] = columnMeans[column]! + factor * data[row * down + column * across]!;
    }
    for (let column = 0; column < columns; column++) columnMeans[column] = columnMeans[column]! / rows;
  }
  const line = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    const factor = gain ? gain[row]! : 1;
    let sum = 0;
    for (let column = 0; column < columns; column++) {
      const value = factor * data[row * down + column * across]! - columnMeans[column]!;
      line[column] = value;
      sum += value;
    }
    const mean = of.centreRows ? sum / columns : 0;
    for (let column = 0; column < columns; column++) out[row * columns + column] = line[column]! - mean;
  }
  return out;
}

/** b + shift·W + Σ_h b_V[h]·W_O[h], less its mean where it is written to the stream or is the unembedding's. */
function foldedBias(of: Extract<Folding, { kind: 'bias' }>, stored: Weights, size: number): Float64Array {
  const out = new Float64Array(size);
  if (of.from !== null) out.set(findWeight(stored, of.from).read());
  if (of.shift) {
    const vector = findWeight(stored, of.shift.vector).read();
    addProduct(out, vector, findWeight(stored, of.shift.matrix).read());
  }
  if (of.values) {
    const { bias, matrix, heads, kvHeads } = of.values;
    const W = findWeight(stored, matrix);
    const inner = W.shape[0] ?? 0;
    const width = inner / heads;
    const values = foldedBias(bias, stored, width * kvHeads);
    const shared = heads / kvHeads;
    const spread = Float64Array.from({ length: inner }, (_, at) => {
      const head = Math.floor(at / width);
      return values[Math.floor(head / shared) * width + (at % width)]!;
    });
    addProduct(out, spread, W.read());
  }
  if (!of.centre) return out;
  let sum = 0;
  for (const value of out) sum += value;
  const mean = sum / size;
  return out.map((value) => value - mean);
}

/** out += x·W, W [x.length, out.length]. */
function addProduct(out: Float64Array, x: Floats, W: Floats): void {
  const columns = out.length;
  for (let row = 0; row < x.length; row++) {
    const factor = x[row]!;
    if (factor === 0) continue;
    for (let column = 0; column < columns; column++) out[column] = out[column]! + factor * W[row * columns + column]!;
  }
}
