import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, numberAttr, outShape } from './call-reader.ts';

/** x · factor, the factor being a float32. Exact. */
export const scale: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const out = make(outShape(call, 0, x.shape));
  const factor = arithmeticOf(out.data).round(numberAttr(call, 'factor'));
  for (let i = 0; i < out.data.length; i++) out.data[i] = x.data[i]! * factor;
  return [out];
};
