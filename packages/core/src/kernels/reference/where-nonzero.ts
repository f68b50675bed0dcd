import type { ReferenceKernel } from '../contract.ts';
import { input, outShape } from './call-reader.ts';
import { sameAsFirst } from './same-as-first.ts';

/** x where the gate is not 0, else 0; a NaN gate lets pass. Exact. */
export const whereNonzero: ReferenceKernel = (call, make) => {
  const gate = input(call, 0);
  const x = sameAsFirst(call, 1);
  const out = make(outShape(call, 0, gate.shape));
  for (let i = 0; i < out.data.length; i++) out.data[i] = gate.data[i] === 0 ? 0 : x.data[i]!;
  return [out];
};
