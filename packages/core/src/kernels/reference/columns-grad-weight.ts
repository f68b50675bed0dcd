import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, outOfRange } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/**
 * out[c][:, ids[r, i]] += x[r, g] · ct[r, g, i] over the rows of group c, then g, then i, each step fused.
 * Bounded: (times that the id occurs)·u·Σ|terms|.
 */
export const columnsGradWeight: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ids = intInput(call, 1);
  const ct = input(call, 2);
  expectShape(call, 'ct', ct.shape, [null, null, null]);
  const [rows = 0, places = 0, count = 0] = ct.shape;
  expectShape(call, 'x', x.shape, [null, places, null]);
  const width = x.shape[2] ?? 0;
  expectShape(call, 'ids', ids.shape, [null, count]);
  const vocabulary = call.outShapes[0]?.[2] ?? 0;
  const { groups, shape } = groupedShape(call, [width, vocabulary]);
  const pairs = pairedRows(call, groups, { name: 'x', rows: x.shape[0] ?? 0 }, { name: 'ct', rows });
  const idRows = ids.shape[0] ?? 1;
  const out = make(shape);
  const { fma } = arithmeticOf(out.data);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      const row = pairs.second(group, at);
      for (let place = 0; place < places; place++) {
        const from = (pairs.first(group, at) * places + place) * width;
        for (let i = 0; i < count; i++) {
          const id = ids.data[(row % idRows) * count + i]!;
          if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
          const factor = ct.data[(row * places + place) * count + i]!;
          for (let m = 0; m < width; m++) {
            const to = (group * width + m) * vocabulary + id;
            out.data[to] = fma(x.data[from + m]!, factor, out.data[to]!);
          }
        }
      }
    }
  }
  return [out];
};
