import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, outShape } from './call-reader.ts';
import { boundsOf } from './clip.ts';
import { sameAsFirst } from './same-as-first.ts';

/** ct where x lies between the bounds, 0 on and beyond them (as PyTorch's ReLU6 has it), NaN where x is. Exact. */
export const clipGrad: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = sameAsFirst(call, 1);
  const out = make(outShape(call, 0, x.shape));
  const [low, high] = boundsOf(call, arithmeticOf(out.data).round);
  for (let i = 0; i < out.data.length; i++) {
    const value = x.data[i]!;
    const inside = value > low && value < high ? ct.data[i]! : 0;
    out.data[i] = Number.isNaN(value) ? value : inside;
  }
  return [out];
};
