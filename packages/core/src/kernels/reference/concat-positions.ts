import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, outShape } from './call-reader.ts';

/** out[r] = past[r] followed by x[r]: keys or values of earlier positions and of new ones. Exact. */
export const concatPositions: ReferenceKernel = (call, make) => {
  const past = input(call, 0);
  const x = input(call, 1);
  const [rows = 0, before = 0, ...rest] = past.shape;
  expectShape(call, 'x', x.shape, [rows, null, ...rest]);
  const pos = x.shape[1] ?? 0;
  const width = rest.reduce((product, size) => product * size, 1);
  const out = make(outShape(call, 0, [rows, before + pos, ...rest]));
  for (let row = 0; row < rows; row++) {
    const start = row * (before + pos) * width;
    out.data.set(past.data.subarray(row * before * width, (row + 1) * before * width), start);
    out.data.set(x.data.subarray(row * pos * width, (row + 1) * pos * width), start + before * width);
  }
  return [out];
};
