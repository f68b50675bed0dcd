import type { ReferenceKernel } from '../contract.ts';
import { input, outShape } from './call-reader.ts';
import { sameAsFirst } from './same-as-first.ts';

/** x0 + x1 + … from left to right, each addition rounded: the order is part of the value. Exact. */
export const sum: ReferenceKernel = (call, make) => {
  const terms = call.inputs.map((_, index) => (index === 0 ? input(call, 0) : sameAsFirst(call, index)));
  const first = input(call, 0);
  const out = make(outShape(call, 0, first.shape));
  out.data.set(first.data);
  for (const term of terms.slice(1)) {
    for (let i = 0; i < out.data.length; i++) out.data[i] = out.data[i]! + term.data[i]!;
  }
  return [out];
};
