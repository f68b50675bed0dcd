import { intZeros } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { countAttr, input, outShape, rowsAndWidth } from './call-reader.ts';
import { firstInOrder } from './descending.ts';

/** The k first entries of each row in the order of descending.ts; where there are fewer, value 0 and index −1. Exact. */
export const topK: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const k = countAttr(call, 'k');
  const { rows, width } = rowsAndWidth(x.shape);
  const shape = [...x.shape.slice(0, -1), k];
  const values = make(outShape(call, 0, shape));
  const indices = intZeros(outShape(call, 1, shape));
  indices.data.fill(-1);
  const all = Array.from({ length: width }, (_, i) => i);
  for (let row = 0; row < rows; row++) {
    const valueAt = (i: number): number => x.data[row * width + i]!;
    firstInOrder(valueAt, all, k).forEach((index, at) => {
      values.data[row * k + at] = valueAt(index);
      indices.data[row * k + at] = index;
    });
  }
  return [values, indices];
};
