import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';

/**
 * out[r, w, v] = Σ_p other[r, p, w] · x[r, p, v]: every vector of x with every one of the others, over positions. A dot is
 * made by the fixed tree, positions are added in ascending order in float64 and rounded once. The others may have fewer
 * rows that divide those of x: row r reads row r % theirs. Exact.
 */
export const pairDots: ReferenceKernel = (call, make) => {
  const x = withVectors(call, 'x', input(call, 0));
  const [rows, pos, vectors, width] = x.shape;
  const others = call.inputs.slice(1).map((_, at) => {
    const other = withVectors(call, `other ${at}`, input(call, at + 1));
    const [own, , count] = other.shape;
    expectShape(call, `other ${at}`, other.shape, [null, pos, null, width]);
    if (rows % (own || 1) !== 0) throw badShape(call, `other ${at}`, [rows, pos, count, width], other.shape);
    return other;
  });
  const all = others.reduce((sum, { shape }) => sum + shape[2], 0);
  const out = make(outShape(call, 0, [rows, all, vectors]));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    let to = row * all * vectors;
    for (const { data, shape } of others) {
      const [own, , count] = shape;
      for (let w = 0; w < count; w++) {
        for (let v = 0; v < vectors; v++) {
          let sum = 0;
          for (let p = 0; p < pos; p++) {
            const a = (((row % own) * pos + p) * count + w) * width;
            const b = ((row * pos + p) * vectors + v) * width;
            sum += treeDot({ data, start: a }, { data: x.data, start: b }, width, arithmetic);
          }
          out.data[to++] = sum;
        }
      }
    }
  }
  return [out];
};

/** Shapes with a dimension of vectors, which [rows, pos, width] has only one of. */
function withVectors(call: KernelCall, name: string, { shape, data }: Tensor) {
  const [rows = 0, pos = 0, vectors = 0, width = 0] =
    shape.length === 3 ? [...shape.slice(0, 2), 1, shape[2] ?? 0] : shape;
  if (shape.length !== 3) expectShape(call, name, shape, [null, null, null, null]);
  return { shape: [rows, pos, vectors, width] as const, data };
}
