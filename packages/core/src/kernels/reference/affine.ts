import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, optionalVectorParam, outShape, rowsAndWidth } from './call-reader.ts';

/** x·w + b along the last axis, fused (one rounding); without w: x + b, without b: x·w, without both: x. Exact. */
export const affine: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const { rows, width } = rowsAndWidth(x.shape);
  const w = optionalVectorParam(call, 0, width);
  const b = optionalVectorParam(call, 1, width);
  const out = make(outShape(call, 0, x.shape));
  const { fma } = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const value = x.data[row * width + i]!;
      out.data[row * width + i] = w && b ? fma(value, w[i]!, b[i]!) : w ? value * w[i]! : b ? value + b[i]! : value;
    }
  }
  return [out];
};
