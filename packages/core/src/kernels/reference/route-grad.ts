import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, outShape, rowsAndWidth } from './call-reader.ts';
import { treeDot, treeSum } from './fixed-tree.ts';
import { sameAsFirst } from './same-as-first.ts';

/**
 * Where a gate g is not 0: (ct − Σ g·ct)/Σ p, sums over those entries by the fixed tree; elsewhere 0, and nothing is read there:
 * which entries are chosen does not change by little. Exact.
 */
export const routeGrad: ReferenceKernel = (call, make) => {
  const p = input(call, 0);
  const [gates, ct] = [sameAsFirst(call, 1), sameAsFirst(call, 2)];
  const { rows, width } = rowsAndWidth(p.shape);
  const out = make(outShape(call, 0, p.shape));
  const arithmetic = arithmeticOf(out.data);
  const [{ data: chosen }, { data: read }] = [make([width]), make([width])];
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    for (let i = 0; i < width; i++) {
      const open = gates.data[start + i] !== 0;
      chosen[i] = open ? p.data[start + i]! : 0;
      read[i] = open ? ct.data[start + i]! : 0;
    }
    const mean = treeDot({ data: gates.data, start }, { data: read, start: 0 }, width, arithmetic);
    const sum = treeSum(chosen, 0, width, arithmetic);
    for (let i = 0; i < width; i++) {
      if (gates.data[start + i] !== 0) out.data[start + i] = arithmetic.round(read[i]! - mean) / sum;
    }
  }
  return [out];
};
