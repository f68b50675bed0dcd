import type { ReferenceKernel } from '../contract.ts';
import { badShape, input } from './call-reader.ts';

/** out[r] = x[r mod B]: a batch laid out once for every variant of a sweep. Exact. */
export const repeat: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const shape = call.outShapes[0] ?? x.shape;
  const [batch = 0, ...rest] = x.shape;
  const [rows = 0, ...outRest] = shape;
  const whole = batch === 0 ? rows === 0 : rows % batch === 0;
  if (!whole || rest.length !== outRest.length || rest.some((size, axis) => size !== outRest[axis])) {
    throw badShape(call, 'out', [null, ...rest], shape);
  }
  const out = make(shape);
  for (let at = 0; at < out.data.length; at += x.data.length) out.data.set(x.data, at);
  return [out];
};
