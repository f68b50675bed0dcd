import type { ReferenceKernel } from '../contract.ts';
import { countAttr, input, outShape, rowsAndWidth } from './call-reader.ts';
import { firstInOrder } from './descending.ts';

/** Each row with all but its k first entries 0, in the order of descending.ts. Exact. */
export const topKMask: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const k = countAttr(call, 'k');
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, x.shape));
  const all = Array.from({ length: width }, (_, i) => i);
  for (let row = 0; row < rows; row++) {
    const valueAt = (i: number): number => x.data[row * width + i]!;
    for (const index of firstInOrder(valueAt, all, k)) out.data[row * width + index] = valueAt(index);
  }
  return [out];
};
