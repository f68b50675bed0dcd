import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, outShape } from './call-reader.ts';
import { sameAsFirst } from './same-as-first.ts';
import { capAttr } from './soft-cap.ts';

/** ct·(1 − (out/cap)²), out being what soft_cap gave; where that is −∞ the cotangent is not read and the result is 0. Exact. */
export const softCapGrad: ReferenceKernel = (call, make) => {
  const capped = input(call, 0);
  const ct = sameAsFirst(call, 1);
  const out = make(outShape(call, 0, capped.shape));
  const { round, fma } = arithmeticOf(out.data);
  const cap = round(capAttr(call));
  for (let i = 0; i < out.data.length; i++) {
    const value = capped.data[i]!;
    const t = round(value / cap);
    out.data[i] = value === Number.NEGATIVE_INFINITY ? 0 : ct.data[i]! * fma(-t, t, 1);
  }
  return [out];
};
