import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';
import { largest } from './max-pool2d.ts';
import { poolPlane } from './window.ts';

/** The cotangents of max_pool2d at the entries that its windows chose, added in the order of places. Exact. */
export const maxPool2dGrad: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = input(call, 1);
  const [rows, channels, height, width] = imageSizes(call, 'x', x.shape);
  const plane = poolPlane(call, [height, width]);
  const [down, across] = plane;
  expectShape(call, 'ct', ct.shape, [rows, channels, down.out, across.out]);
  const out = make(outShape(call, 0, x.shape));
  const places = down.out * across.out;
  for (let from = 0; from < ct.data.length; from++) {
    const start = Math.floor(from / places) * height * width;
    const to = start + largest(plane, x.data, start, from % places);
    out.data[to] = out.data[to]! + ct.data[from]!;
  }
  return [out];
};
