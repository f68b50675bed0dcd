import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, numberAttr, outShape } from './call-reader.ts';

/** min(max(x, low), high), either of which may be missing; NaN stays NaN. Of 0 and 6 it is ReLU6. Exact. */
export const clip: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const out = make(outShape(call, 0, x.shape));
  const [low, high] = boundsOf(call, arithmeticOf(out.data).round);
  for (let i = 0; i < out.data.length; i++) {
    let value = x.data[i]!;
    if (value < low) value = low;
    if (value > high) value = high;
    out.data[i] = value;
  }
  return [out];
};

export function boundsOf(call: KernelCall, round: (x: number) => number): readonly [low: number, high: number] {
  const bound = (name: string, none: number): number =>
    call.attrs[name] === undefined || call.attrs[name] === null ? none : round(numberAttr(call, name));
  return [bound('low', Number.NEGATIVE_INFINITY), bound('high', Number.POSITIVE_INFINITY)];
}
