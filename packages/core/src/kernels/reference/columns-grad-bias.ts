import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, intInput, outOfRange } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/** out[c, ids[r, i]] += ct[r, g, i] over the rows of group c, then g, then i. Bounded: (occurrences)·u·Σ|terms|. */
export const columnsGradBias: ReferenceKernel = (call, make) => {
  const ids = intInput(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'ct', ct.shape, [null, null, null]);
  const [rows = 0, places = 0, count = 0] = ct.shape;
  expectShape(call, 'ids', ids.shape, [null, count]);
  const vocabulary = call.outShapes[0]?.[1] ?? 0;
  const { groups, shape } = groupedShape(call, [vocabulary]);
  const pairs = pairedRows(call, groups, { name: 'ids', rows: ids.shape[0] ?? 0 }, { name: 'ct', rows });
  const out = make(shape);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      for (let entry = 0; entry < places * count; entry++) {
        const id = ids.data[pairs.first(group, at) * count + (entry % count)]!;
        if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
        const to = group * vocabulary + id;
        out.data[to] = out.data[to]! + ct.data[pairs.second(group, at) * places * count + entry]!;
      }
    }
  }
  return [out];
};
