import type { ReferenceKernel } from '../contract.ts';
import { input, outShape } from './call-reader.ts';

/** out[…, n] = ct[…] · dir[n]: the way back through project_dot. Exact. */
export const outer: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const { data: dir } = input(call, 1);
  const out = make(outShape(call, 0, [...ct.shape, dir.length]));
  for (let i = 0; i < out.data.length; i++) {
    out.data[i] = ct.data[Math.floor(i / dir.length)]! * dir[i % dir.length]!;
  }
  return [out];
};
