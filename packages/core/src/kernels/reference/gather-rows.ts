import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, intInput, outOfRange, outShape } from './call-reader.ts';

/** out[r, g] = x[r, index[r, g]]: each row of the batch picks its own positions. Exact. */
export const gatherRows: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const index = intInput(call, 1);
  const [rows = 0, pos = 0, ...rest] = x.shape;
  expectShape(call, 'index', index.shape, [rows, null]);
  const groups = index.shape[1] ?? 0;
  const width = rest.reduce((product, size) => product * size, 1);
  const out = make(outShape(call, 0, [rows, groups, ...rest]));
  index.data.forEach((position, at) => {
    if (position < 0 || position >= pos) throw outOfRange(call, 'index', position, pos);
    const start = (Math.floor(at / groups) * pos + position) * width;
    out.data.set(x.data.subarray(start, start + width), at * width);
  });
  return [out];
};
