import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, intInput, outOfRange, outShape } from './call-reader.ts';

/** out[r, index[r, g]] += ct[r, g] in the order of g: the way back through gather_rows. Exact. */
export const scatterRows: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const index = intInput(call, 1);
  const [rows = 0, groups = 0, ...rest] = ct.shape;
  expectShape(call, 'index', index.shape, [rows, groups]);
  const pos = call.outShapes[0]?.[1] ?? 0;
  const width = rest.reduce((product, size) => product * size, 1);
  const out = make(outShape(call, 0, [rows, pos, ...rest]));
  index.data.forEach((position, at) => {
    if (position < 0 || position >= pos) throw outOfRange(call, 'index', position, pos);
    const start = (Math.floor(at / groups) * pos + position) * width;
    for (let i = 0; i < width; i++) out.data[start + i] = out.data[start + i]! + ct.data[at * width + i]!;
  });
  return [out];
};
