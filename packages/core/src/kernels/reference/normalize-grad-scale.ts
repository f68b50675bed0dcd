import type { Floats } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { type Arithmetic, arithmeticOf } from './arithmetic.ts';
import { expectShape, input, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { rowMean } from './row-mean.ts';

/** The cotangent of the scale under normalize: −Σ ct·n / scale with n the normalised row; the sum by the fixed tree. Exact. */
export const normalizeGradScale: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const scale = input(call, 1);
  const ct = input(call, 2);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  expectShape(call, 'ct', ct.shape, x.shape);
  expectShape(call, 'scale', scale.shape, [...x.shape.slice(0, -1), 1]);
  const { rows, width } = rowsAndWidth(x.shape);
  const out = make(outShape(call, 0, scale.shape));
  const arithmetic = arithmeticOf(out.data);
  const { data: normalized } = make([width]);
  for (let row = 0; row < rows; row++) {
    const places = { x: x.data, start: row * width, width, scale: scale.data[row]!, kind };
    out.data[row] = scaleCotangent(places, { data: ct.data, start: row * width }, normalized, arithmetic);
  }
  return [out];
};

export interface NormRow {
  readonly x: Floats;
  readonly start: number;
  readonly width: number;
  readonly scale: number;
  readonly kind: 'layer' | 'rms';
}

/** `normalized` [width] is written on the way. */
export function scaleCotangent(
  { x, start, width, scale, kind }: NormRow,
  ct: { readonly data: Floats; readonly start: number },
  normalized: Floats,
  arithmetic: Arithmetic,
): number {
  const mean = kind === 'layer' ? rowMean(x, start, width, arithmetic) : 0;
  for (let i = 0; i < width; i++) normalized[i] = arithmetic.round(x[start + i]! - mean) / scale;
  return arithmetic.round(-treeDot(ct, { data: normalized, start: 0 }, width, arithmetic) / scale);
}
