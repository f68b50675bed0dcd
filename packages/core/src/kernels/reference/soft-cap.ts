import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badAttribute, input, numberAttr, outShape } from './call-reader.ts';

/**
 * cap·tanh(x/cap): straight near 0, never beyond ±cap (Gemma 2, 2024). −∞ stays −∞, so that a masked score stays masked; NaN
 * stays NaN. Bounded: 8u·|out|, and (cap + 1)·2^-149 absolute.
 */
export const softCap: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const out = make(outShape(call, 0, x.shape));
  const { round } = arithmeticOf(out.data);
  const cap = round(capAttr(call));
  for (let i = 0; i < out.data.length; i++) {
    const value = x.data[i]!;
    out.data[i] = value === Number.NEGATIVE_INFINITY ? value : cap * Math.tanh(round(value / cap));
  }
  return [out];
};

/** @throws CircuitscopeError `bad_attribute` unless the cap is above 0, in float32 too */
export function capAttr(call: KernelCall): number {
  const cap = numberAttr(call, 'cap');
  if (Math.fround(cap) > 0 && Math.fround(cap) < Number.POSITIVE_INFINITY) return cap;
  throw badAttribute(call, 'cap', 'a number above 0 that fits a float32');
}
