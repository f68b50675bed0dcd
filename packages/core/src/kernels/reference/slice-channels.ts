import type { ReferenceKernel } from '../contract.ts';
import { countAttr, input, outOfRange, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';

/** The channels of x from `first` on, as many as the output has. Exact. */
export const sliceChannels: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const [rows, channels, height, width] = imageSizes(call, 'x', x.shape);
  const first = countAttr(call, 'first');
  const count = call.outShapes[0]?.[1] ?? 0;
  const out = make(outShape(call, 0, [rows, count, height, width]));
  if (first + count > channels) throw outOfRange(call, 'channel', first + count - 1, channels);
  const plane = height * width;
  for (let row = 0; row < rows; row++) {
    const start = (row * channels + first) * plane;
    out.data.set(x.data.subarray(start, start + count * plane), row * count * plane);
  }
  return [out];
};
