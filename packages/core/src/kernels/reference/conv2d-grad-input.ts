import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import { convolutionOf, imageSizes } from './image.ts';
import { placeOf } from './window.ts';

/**
 * The cotangent of a convolution's input. For each entry (i, j) of the window one chain over the channels o of the group
 * ascending, Σ_o ct[r, o, y, x]·W[o, c, i, j]; these are added in the order of the window's entries, from +0. What falls on
 * padding is left out. Bounded: (after + taps)·u·Σ|terms|.
 */
export const conv2dGradInput: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const shape = call.outShapes[0];
  if (!shape) throw badShape(call, 'out', [null, null, null, null], []);
  const [rows, channels, height, width] = imageSizes(call, 'out', shape);
  const { weight, plane, groups, before, after } = convolutionOf(call, channels, [height, width]);
  const [down, across] = plane;
  const outputs = groups * after;
  expectShape(call, 'ct', ct.shape, [rows, outputs, down.out, across.out]);
  const out = make(outShape(call, 0, shape));
  const { round } = arithmeticOf(out.data);
  const taps = down.window * across.window;
  const places = down.out * across.out;
  for (let map = 0; map < rows * channels; map++) {
    const [row, channel] = [Math.floor(map / channels), map % channels];
    const group = Math.floor(channel / before);
    for (let tap = 0; tap < taps; tap++) {
      for (let place = 0; place < places; place++) {
        const line = placeOf(down, Math.floor(place / across.out), Math.floor(tap / across.window));
        const column = placeOf(across, place % across.out, tap % across.window);
        if (line < 0 || line >= height || column < 0 || column >= width) continue;
        let sum = 0;
        for (let o = group * after; o < (group + 1) * after; o++) {
          const w = weight.data[(o * before + channel - group * before) * taps + tap]!;
          sum = round(sum + ct.data[(row * outputs + o) * places + place]! * w);
        }
        const to = (map * height + line) * width + column;
        out.data[to] = out.data[to]! + sum;
      }
    }
  }
  return [out];
};
