import type { Floats } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { type Arithmetic, arithmeticOf } from './arithmetic.ts';
import { expectShape, input, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import type { NormRow } from './normalize-grad-scale.ts';
import { rowMean } from './row-mean.ts';

/**
 * The cotangent of x under norm_scale: (x − mean)·f, rms x·f, with f = ct/(m·scale), each step rounded. Exact.
 */
export const normScaleGrad: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const scale = input(call, 1);
  const ct = input(call, 2);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  expectShape(call, 'scale', scale.shape, [...x.shape.slice(0, -1), 1]);
  expectShape(call, 'ct', ct.shape, scale.shape);
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, x.shape));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    const places = { x: x.data, start: row * width, width, scale: scale.data[row]!, kind };
    normScaleGradRow(places, ct.data[row]!, arithmetic, out.data, row * width);
  }
  return [out];
};

export function normScaleGradRow(
  { x, start, width, scale, kind }: NormRow,
  ct: number,
  { round, ...rest }: Arithmetic,
  out: Floats,
  outStart: number,
): void {
  const mean = kind === 'layer' ? rowMean(x, start, width, { round, ...rest }) : 0;
  const factor = round(ct / round(width * scale));
  for (let i = 0; i < width; i++) out[outStart + i] = round(x[start + i]! - mean) * factor;
}
