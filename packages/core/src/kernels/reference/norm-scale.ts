import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, numberAttr, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { rowMean } from './row-mean.ts';

/**
 * What a norm divides by. layer: √(var + eps), var = Σ(x − mean)² / m in two passes; rms: √(Σx² / m + eps).
 * Sums by the fixed tree (squares fused), division, sum and root rounded one by one; eps is a float32. Exact.
 */
export const normScale: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, [...x.shape.slice(0, -1), 1]));
  const arithmetic = arithmeticOf(out.data);
  const { round } = arithmetic;
  const eps = round(numberAttr(call, 'eps'));
  const { data: centred } = make([width]);
  for (let row = 0; row < rows; row++) {
    const mean = kind === 'layer' ? rowMean(x.data, row * width, width, arithmetic) : 0;
    for (let i = 0; i < width; i++) centred[i] = x.data[row * width + i]! - mean;
    const whole = { data: centred, start: 0 };
    const meanSquare = round(treeDot(whole, whole, width, arithmetic) / width);
    out.data[row] = Math.sqrt(round(meanSquare + eps));
  }
  return [out];
};
