import type { ReferenceKernel } from '../contract.ts';
import { expectShape, flagAttr, input, intInput, outOfRange } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/**
 * out[c, ids[t], :] += ct[t, :] over the tokens of group c in order; `transposed`: [c, :, ids[t]]. ids may have fewer rows.
 * Bounded: (times that the id occurs)·u·Σ|terms|.
 */
export const embedGrad: ReferenceKernel = (call, make) => {
  const ids = intInput(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'ct', ct.shape.slice(1, -1), ids.shape.slice(1));
  const transposed = call.attrs.transposed === undefined ? false : flagAttr(call, 'transposed');
  const width = ct.shape.at(-1) ?? 0;
  const [, first = 0, second = 0] = call.outShapes[0] ?? [];
  const vocabulary = transposed ? second : first;
  const { groups, shape } = groupedShape(call, transposed ? [width, vocabulary] : [vocabulary, width]);
  const tokens = ct.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const pairs = pairedRows(call, groups, { name: 'ids', rows: ids.data.length }, { name: 'ct', rows: tokens });
  const out = make(shape);
  for (let group = 0; group < groups; group++) {
    const base = group * vocabulary * width;
    for (let at = 0; at < pairs.perGroup; at++) {
      const id = ids.data[pairs.first(group, at)]!;
      if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
      const from = pairs.second(group, at) * width;
      for (let m = 0; m < width; m++) {
        const to = base + (transposed ? m * vocabulary + id : id * width + m);
        out.data[to] = out.data[to]! + ct.data[from + m]!;
      }
    }
  }
  return [out];
};
