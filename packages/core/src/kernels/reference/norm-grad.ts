import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, optionalVectorParam, outShape, rowsAndWidth, wordAttr } from './call-reader.ts';
import { normScaleGradRow } from './norm-scale-grad.ts';
import { normalizeGradRow } from './normalize-grad.ts';
import { scaleCotangent } from './normalize-grad-scale.ts';

/**
 * The cotangent of x under a norm: with t = ct ∘ w, normalize_grad of t plus norm_scale_grad of normalize_grad_scale of t,
 * with the bits of these parts. Exact.
 */
export const normGrad: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const scale = input(call, 1);
  const ct = input(call, 2);
  const kind = wordAttr(call, 'kind', ['layer', 'rms']);
  expectShape(call, 'ct', ct.shape, x.shape);
  expectShape(call, 'scale', scale.shape, [...x.shape.slice(0, -1), 1]);
  const { rows, width } = rowsAndWidth(x.shape);
  const w = optionalVectorParam(call, 0, width);
  const out = make(outShape(call, 0, x.shape));
  const arithmetic = arithmeticOf(out.data);
  const [{ data: t }, { data: normalized }, { data: second }] = [make([width]), make([width]), make([width])];
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    for (let i = 0; i < width; i++) t[i] = w ? ct.data[start + i]! * w[i]! : ct.data[start + i]!;
    const places = { x: x.data, start, width, scale: scale.data[row]!, kind };
    normalizeGradRow(t, 0, width, places.scale, kind, arithmetic, out.data, start);
    const back = scaleCotangent(places, { data: t, start: 0 }, normalized, arithmetic);
    normScaleGradRow(places, back, arithmetic, second, 0);
    for (let i = 0; i < width; i++) out.data[start + i] = out.data[start + i]! + second[i]!;
  }
  return [out];
};
