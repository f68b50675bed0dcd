import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, input, outShape, rowsAndWidth } from './call-reader.ts';
import { treeSum } from './fixed-tree.ts';

/**
 * The entries of each row that are chosen, divided by their sum; the others are 0. What is no index of an entry chooses none, and
 * where none is chosen nothing is divided. The sum goes through the fixed tree, over the row with those others as 0. Exact.
 */
export const route: ReferenceKernel = (call, make) => {
  const p = input(call, 0);
  const chosen = input(call, 1);
  const { rows, width } = rowsAndWidth(p.shape);
  const { rows: same, width: k } = rowsAndWidth(chosen.shape);
  if (same !== rows) throw badShape(call, 'indices', [...p.shape.slice(0, -1), null], chosen.shape);
  const out = make(outShape(call, 0, p.shape));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    const open = new Set<number>();
    for (let at = 0; at < k; at++) {
      const index = chosen.data[row * k + at]!;
      if (Number.isInteger(index) && index >= 0 && index < width) open.add(index);
    }
    for (const index of open) out.data[start + index] = p.data[start + index]!;
    const sum = treeSum(out.data, start, width, arithmetic);
    for (const index of open) out.data[start + index] = out.data[start + index]! / sum;
  }
  return [out];
};
