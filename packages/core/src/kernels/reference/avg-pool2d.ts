import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { flagAttr, input, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';
import { type Axis, type Plane, poolPlane } from './window.ts';

/**
 * The mean of each window: its entries added from the first on and divided by their number, or with `countPadding` by the
 * window's entries inside image and padding. Exact.
 */
export const avgPool2d: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const [rows, channels, height, width] = imageSizes(call, 'x', x.shape);
  const plane = poolPlane(call, [height, width]);
  const [down, across] = plane;
  const out = make(outShape(call, 0, [rows, channels, down.out, across.out]));
  const { round } = arithmeticOf(out.data);
  const places = down.out * across.out;
  for (let to = 0; to < out.data.length; to++) {
    const start = Math.floor(to / places) * height * width;
    const { lines, columns, divisor } = covered(call, plane, to % places);
    let sum = 0;
    for (let line = lines[0]; line < lines[1]; line++) {
      for (let column = columns[0]; column < columns[1]; column++) {
        sum = round(sum + x.data[start + line * width + column]!);
      }
    }
    out.data[to] = sum / divisor;
  }
  return [out];
};

/** The lines and columns of the image under the window at a place, and the number that a mean divides by. */
export function covered(call: KernelCall, [down, across]: Plane, place: number) {
  const counted = flagAttr(call, 'countPadding');
  const along = ({ size, window, stride, padding, behind }: Axis, at: number) => {
    const from = at * stride - padding;
    const end = Math.min(from + window, size + behind);
    const inside = [Math.max(from, 0), Math.min(end, size)] as const;
    return { inside, count: counted ? end - from : inside[1] - inside[0] };
  };
  const lines = along(down, Math.floor(place / across.out));
  const columns = along(across, place % across.out);
  return { lines: lines.inside, columns: columns.inside, divisor: lines.count * columns.count };
}
