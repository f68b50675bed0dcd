import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';
import { imageSizes, movement } from './image.ts';
import { placeOf } from './window.ts';

/**
 * out[q, o, c, i, j] = Σ_t Σ_place ct[t, o, place] · x[t, c, what lies under (i, j) at the place] over the rows t of group q:
 * one chain over rows, then places, ascending, padding as zeros of it. An input with fewer rows serves each group anew.
 * Bounded: rows·places·u·Σ|terms|.
 */
export const conv2dGradWeight: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = input(call, 1);
  const [own, channels, height, width] = imageSizes(call, 'x', x.shape);
  const weightShape = (call.outShapes[0] ?? []).slice(1);
  const { plane, groups: parts, before, after } = movement(call, weightShape, 'out', channels, [height, width]);
  const [down, across] = plane;
  const outputs = parts * after;
  expectShape(call, 'ct', ct.shape, [null, outputs, down.out, across.out]);
  const { groups, shape } = groupedShape(call, weightShape);
  const pairs = pairedRows(call, groups, { name: 'x', rows: own }, { name: 'ct', rows: ct.shape[0] ?? 0 });
  const out = make(shape);
  const { round } = arithmeticOf(out.data);
  let to = 0;
  for (let group = 0; group < groups; group++) {
    for (let o = 0; o < outputs; o++) {
      for (let c = 0; c < before; c++) {
        const channel = Math.floor(o / after) * before + c;
        for (let i = 0; i < down.window; i++) {
          for (let j = 0; j < across.window; j++) {
            let sum = 0;
            for (let at = 0; at < pairs.perGroup; at++) {
              const map = (pairs.first(group, at) * channels + channel) * height;
              let from = (pairs.second(group, at) * outputs + o) * down.out * across.out;
              for (let y = 0; y < down.out; y++) {
                const line = placeOf(down, y, i);
                for (let place = 0; place < across.out; place++) {
                  const column = placeOf(across, place, j);
                  const inside = line >= 0 && line < height && column >= 0 && column < width;
                  sum = round(sum + ct.data[from++]! * (inside ? x.data[(map + line) * width + column]! : 0));
                }
              }
            }
            out.data[to++] = sum;
          }
        }
      }
    }
  }
  return [out];
};
