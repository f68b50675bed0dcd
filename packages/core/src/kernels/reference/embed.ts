import type { ReferenceKernel } from '../contract.ts';
import { badShape, flagAttr, intInput, outOfRange, outShape, param } from './call-reader.ts';

/** out[r, p, :] = W[ids[r, p], :]; `transposed`: the table is [m, V] and a row is a column of it. Exact. */
export const embed: ReferenceKernel = (call, make) => {
  const ids = intInput(call, 0);
  const table = param(call, 0);
  const transposed = call.attrs.transposed === undefined ? false : flagAttr(call, 'transposed');
  const [first, second] = table.shape;
  if (first === undefined || second === undefined || table.shape.length !== 2) {
    throw badShape(call, 'W', [null, null], table.shape);
  }
  const [vocabulary, width] = transposed ? [second, first] : [first, second];
  const out = make(outShape(call, 0, [...ids.shape, width]));
  ids.data.forEach((id, at) => {
    if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
    for (let m = 0; m < width; m++) {
      out.data[at * width + m] = table.data[transposed ? m * vocabulary + id : id * width + m]!;
    }
  });
  return [out];
};
