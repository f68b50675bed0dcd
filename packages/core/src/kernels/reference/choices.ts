import type { ReferenceKernel } from '../contract.ts';
import { countAttr, input, outShape, rowsAndWidth } from './call-reader.ts';
import { firstInOrder } from './descending.ts';

/** Which are the k first entries of each row in the order of descending.ts; −1 where there are fewer. Exact. */
export const choices: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const k = countAttr(call, 'k');
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, [...x.shape.slice(0, -1), k]));
  out.data.fill(-1);
  const all = Array.from({ length: width }, (_, i) => i);
  for (let row = 0; row < rows; row++) {
    firstInOrder((i) => x.data[row * width + i]!, all, k).forEach((index, at) => {
      out.data[row * k + at] = index;
    });
  }
  return [out];
};
