import type { Floats } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { type Arithmetic, arithmeticOf } from './arithmetic.ts';
import { expectShape, input, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import { rowMean } from './row-mean.ts';

/** The cotangent of x under normalize, its scale held. layer: (ct − mean ct)/scale; rms: ct/scale. Exact. */
export const normalizeGrad: ReferenceKernel = (call, make) => {
  const scale = input(call, 0);
  const ct = input(call, 1);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  expectShape(call, 'scale', scale.shape, [...ct.shape.slice(0, -1), 1]);
  const { rows, width } = rowsAndWidth(ct.shape);
  const out = make(outShape(call, 0, ct.shape));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    normalizeGradRow(ct.data, row * width, width, scale.data[row]!, kind, arithmetic, out.data, row * width);
  }
  return [out];
};

export function normalizeGradRow(
  ct: Floats,
  start: number,
  width: number,
  scale: number,
  kind: 'layer' | 'rms',
  arithmetic: Arithmetic,
  out: Floats,
  outStart: number,
): void {
  const mean = kind === 'layer' ? rowMean(ct, start, width, arithmetic) : 0;
  for (let i = 0; i < width; i++) out[outStart + i] = arithmetic.round(ct[start + i]! - mean) / scale;
}
