import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, outShape, rowsAndWidth } from './call-reader.ts';
import { treeSum } from './fixed-tree.ts';

/**
 * exp(x − max) / Σ exp(x − max) over the last axis; the sum by the fixed tree, then a division. A row that is all −∞ (a
 * query whose every key is masked) gives zeros: it reads nothing. A row with NaN or +∞ gives NaN throughout.
 * Bounded: (⌈n/32⌉ + 16)·u·p(1 + |x − max|), and 2^-126 absolute where exp underflows.
 */
export const softmax: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, x.shape));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    // Math.max gives NaN if any is NaN, so a row of −∞ and NaN is not taken for a masked one.
    let max = Number.NEGATIVE_INFINITY;
    for (let i = start; i < start + width; i++) max = Math.max(max, x.data[i]!);
    if (max === Number.NEGATIVE_INFINITY) continue;
    for (let i = start; i < start + width; i++) out.data[i] = Math.exp(arithmetic.round(x.data[i]! - max));
    const total = treeSum(out.data, start, width, arithmetic);
    for (let i = start; i < start + width; i++) out.data[i] = out.data[i]! / total;
  }
  return [out];
};
