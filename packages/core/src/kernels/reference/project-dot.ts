import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, input, outShape, rowsAndWidth } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';

/** out[…] = x[…, :] · dir by the fixed tree. Exact. */
export const projectDot: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const dir = input(call, 1);
  const { rows, width } = rowsAndWidth(x.shape);
  if (dir.data.length !== width) throw badShape(call, 'dir', [width], dir.shape);
  const out = make(outShape(call, 0, x.shape.slice(0, -1)));
  const arithmetic = arithmeticOf(out.data);
  const whole = { data: dir.data, start: 0 };
  for (let row = 0; row < rows; row++) {
    out.data[row] = treeDot({ data: x.data, start: row * width }, whole, width, arithmetic);
  }
  return [out];
};
