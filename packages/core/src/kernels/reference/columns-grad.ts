import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, outOfRange, outShape, param } from './call-reader.ts';

/** out[r, g] = Σ_c ct[r, g, c] · W[:, ids[r, c]], one chain over c ascending. Bounded: C·u·Σ|terms|. */
export const columnsGrad: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const ids = intInput(call, 1);
  const W = param(call, 0);
  expectShape(call, 'ct', ct.shape, [null, null, null]);
  const [rows = 0, groups = 0, count = 0] = ct.shape;
  expectShape(call, 'ids', ids.shape, [rows, count]);
  expectShape(call, 'W', W.shape, [null, null]);
  const [width = 0, vocabulary = 0] = W.shape;
  const out = make(outShape(call, 0, [rows, groups, width]));
  const { round } = arithmeticOf(out.data);
  for (let place = 0; place < rows * groups; place++) {
    const row = Math.floor(place / groups);
    for (let c = 0; c < count; c++) {
      const id = ids.data[row * count + c]!;
      if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
      const factor = ct.data[place * count + c]!;
      for (let m = 0; m < width; m++) {
        const to = place * width + m;
        out.data[to] = round(out.data[to]! + factor * W.data[m * vocabulary + id]!);
      }
    }
  }
  return [out];
};
