import type { ReferenceKernel } from '../contract.ts';
import { badShape, input } from './call-reader.ts';

/** The same entries in the same order under other sizes. Exact. */
export const reshape: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const shape = call.outShapes[0] ?? x.shape;
  const out = make(shape);
  if (out.data.length !== x.data.length) throw badShape(call, 'out', x.shape, shape);
  out.data.set(x.data);
  return [out];
};
