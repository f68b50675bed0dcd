import type { ReferenceKernel } from '../contract.ts';
import { input, outShape } from './call-reader.ts';
import { sameAsFirst } from './same-as-first.ts';

/** a − b, elementwise. Exact. */
export const subtract: ReferenceKernel = (call, make) => {
  const [a, b] = [input(call, 0), sameAsFirst(call, 1)];
  const out = make(outShape(call, 0, a.shape));
  for (let i = 0; i < out.data.length; i++) out.data[i] = a.data[i]! - b.data[i]!;
  return [out];
};
