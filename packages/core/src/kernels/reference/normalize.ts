import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import { rowMean } from './row-mean.ts';

/** layer: (x − mean) / scale; rms: x / scale. A true division, not a product with the reciprocal. Exact. */
export const normalize: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const scale = input(call, 1);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  expectShape(call, 'scale', scale.shape, [...x.shape.slice(0, -1), 1]);
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, x.shape));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    const mean = kind === 'layer' ? rowMean(x.data, row * width, width, arithmetic) : 0;
    for (let i = row * width; i < (row + 1) * width; i++) {
      out.data[i] = arithmetic.round(x.data[i]! - mean) / scale.data[row]!;
    }
  }
  return [out];
};
