import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { covered } from './avg-pool2d.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import { imageSizes } from './image.ts';
import { poolPlane } from './window.ts';

/** Each entry of the image gets ct/divisor of every window over it, added in the order of places. Exact. */
export const avgPool2dGrad: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const shape = call.outShapes[0];
  if (!shape) throw badShape(call, 'out', [null, null, null, null], []);
  const [rows, channels, height, width] = imageSizes(call, 'out', shape);
  const plane = poolPlane(call, [height, width]);
  const [down, across] = plane;
  expectShape(call, 'ct', ct.shape, [rows, channels, down.out, across.out]);
  const out = make(outShape(call, 0, shape));
  const { round } = arithmeticOf(out.data);
  const places = down.out * across.out;
  for (let from = 0; from < ct.data.length; from++) {
    const start = Math.floor(from / places) * height * width;
    const { lines, columns, divisor } = covered(call, plane, from % places);
    const share = round(ct.data[from]! / divisor);
    for (let line = lines[0]; line < lines[1]; line++) {
      for (let column = columns[0]; column < columns[1]; column++) {
        const to = start + line * width + column;
        out.data[to] = out.data[to]! + share;
      }
    }
  }
  return [out];
};
