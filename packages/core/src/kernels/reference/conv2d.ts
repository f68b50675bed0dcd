import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, optionalVectorParam, outShape } from './call-reader.ts';
import { convolutionOf, imageSizes } from './image.ts';
import { placeOf } from './window.ts';

/**
 * out[r, o, y, x] = Σ_{c, i, j} x[r, c, y·stride + i·dilation − padding, …] · W[o, c, i, j] + b[o], c over the channels of o's
 * group. One chain over (c, i, j) ascending, padding as zeros of it; the bias is added last. Bounded: (terms + 1)·u·Σ|terms|.
 */
export const conv2d: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const [rows, channels, height, width] = imageSizes(call, 'x', x.shape);
  const { weight, plane, groups, before, after } = convolutionOf(call, channels, [height, width]);
  const [down, across] = plane;
  const outputs = groups * after;
  const bias = optionalVectorParam(call, 1, outputs);
  const out = make(outShape(call, 0, [rows, outputs, down.out, across.out]));
  const { round } = arithmeticOf(out.data);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (let o = 0; o < outputs; o++) {
      const first = row * channels + Math.floor(o / after) * before;
      for (let y = 0; y < down.out; y++) {
        for (let at = 0; at < across.out; at++) {
          let sum = 0;
          let tap = o * before * down.window * across.window;
          for (let c = 0; c < before; c++) {
            for (let i = 0; i < down.window; i++) {
              const line = placeOf(down, y, i);
              for (let j = 0; j < across.window; j++) {
                const column = placeOf(across, at, j);
                const inside = line >= 0 && line < height && column >= 0 && column < width;
                const value = inside ? x.data[((first + c) * height + line) * width + column]! : 0;
                sum = round(sum + value * weight.data[tap++]!);
              }
            }
          }
          out.data[to++] = bias ? sum + bias[o]! : sum;
        }
      }
    }
  }
  return [out];
};
