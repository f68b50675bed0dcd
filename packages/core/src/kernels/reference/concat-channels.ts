import type { ReferenceKernel } from '../contract.ts';
import { badShape, input, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';

/** out[r] = the channels of the first input's row r, then those of the second's, …. Exact. */
export const concatChannels: ReferenceKernel = (call, make) => {
  const parts = call.inputs.map((_, index) => input(call, index));
  const [rows, , height, width] = imageSizes(call, 'x', input(call, 0).shape);
  const counts = parts.map(({ shape }) => {
    const [own, channels, down, across] = imageSizes(call, 'x', shape);
    if (own !== rows || down !== height || across !== width)
      throw badShape(call, 'x', [rows, null, height, width], shape);
    return channels;
  });
  const all = counts.reduce((sum, channels) => sum + channels, 0);
  const out = make(outShape(call, 0, [rows, all, height, width]));
  const plane = height * width;
  for (let row = 0; row < rows; row++) {
    let at = row * all * plane;
    parts.forEach(({ data }, index) => {
      const size = (counts[index] ?? 0) * plane;
      out.data.set(data.subarray(row * size, (row + 1) * size), at);
      at += size;
    });
  }
  return [out];
};
