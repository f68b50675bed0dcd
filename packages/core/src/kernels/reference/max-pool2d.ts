import type { Floats } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { input, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';
import { type Plane, placeOf, poolPlane } from './window.ts';

/** The largest entry of each window; padding is never chosen, NaN always. Exact. */
export const maxPool2d: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const [rows, channels, height, width] = imageSizes(call, 'x', x.shape);
  const plane = poolPlane(call, [height, width]);
  const [down, across] = plane;
  const out = make(outShape(call, 0, [rows, channels, down.out, across.out]));
  const places = down.out * across.out;
  for (let to = 0; to < out.data.length; to++) {
    const start = Math.floor(to / places) * height * width;
    out.data[to] = x.data[start + largest(plane, x.data, start, to % places)]!;
  }
  return [out];
};

/** The first of the largest entries under the window at a place, and the first NaN before all. */
export function largest([down, across]: Plane, x: Floats, start: number, place: number): number {
  let best = -1;
  for (let i = 0; i < down.window; i++) {
    const line = placeOf(down, Math.floor(place / across.out), i);
    if (line < 0 || line >= down.size) continue;
    for (let j = 0; j < across.window; j++) {
      const column = placeOf(across, place % across.out, j);
      if (column < 0 || column >= across.size) continue;
      const at = line * across.size + column;
      const [value, known] = [x[start + at]!, x[start + best]!];
      if (best < 0 || value > known || (Number.isNaN(value) && !Number.isNaN(known))) best = at;
    }
  }
  // A window lies outside the image only where padding exceeds half of it, which is refused before.
  return Math.max(best, 0);
}
