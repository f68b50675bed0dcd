import type { Floats } from '../../tensor/index.ts';
import type { Arithmetic } from './arithmetic.ts';
import { treeSum } from './fixed-tree.ts';

/** Σx / n; the sum by the fixed tree. */
export function rowMean(data: Floats, start: number, length: number, arithmetic: Arithmetic): number {
  return arithmetic.round(treeSum(data, start, length, arithmetic) / length);
}
