import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, outShape, rowsAndWidth } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { sameAsFirst } from './same-as-first.ts';

/**
 * p·(ct − Σ p·ct) over the last axis; the sum by the fixed tree, difference and product rounded one by one. Where p is 0
 * the cotangent is not read and the result is 0. Exact.
 */
export const softmaxGrad: ReferenceKernel = (call, make) => {
  const p = input(call, 0);
  const ct = sameAsFirst(call, 1);
  const { rows, width } = rowsAndWidth(p.shape);
  const out = make(outShape(call, 0, p.shape));
  const arithmetic = arithmeticOf(out.data);
  const { data: read } = make([width]);
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    for (let i = 0; i < width; i++) read[i] = p.data[start + i] === 0 ? 0 : ct.data[start + i]!;
    const mean = treeDot({ data: p.data, start }, { data: read, start: 0 }, width, arithmetic);
    for (let i = 0; i < width; i++) {
      const weight = p.data[start + i]!;
      out.data[start + i] = weight === 0 ? 0 : weight * arithmetic.round(read[i]! - mean);
    }
  }
  return [out];
};
