import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, intInput, outOfRange } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/** out[c, buckets[i, j], h] += ct[r, h, i, j] over the rows of group c, then i, then j. Bounded: terms·u·Σ|terms|. */
export const addBiasGrad: ReferenceKernel = (call, make) => {
  const buckets = intInput(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'ct', ct.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = ct.shape;
  expectShape(call, 'buckets', buckets.shape, [pos, keys]);
  const count = call.outShapes[0]?.[1] ?? 0;
  const { groups, shape } = groupedShape(call, [count, heads]);
  const own = { name: 'ct', rows };
  const pairs = pairedRows(call, groups, own, own);
  const out = make(shape);
  const square = pos * keys;
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      const row = pairs.first(group, at);
      for (let head = 0; head < heads; head++) {
        for (let place = 0; place < square; place++) {
          const bucket = buckets.data[place]!;
          if (bucket < 0 || bucket >= count) throw outOfRange(call, 'buckets', bucket, count);
          const to = (group * count + bucket) * heads + head;
          out.data[to] = out.data[to]! + ct.data[(row * heads + head) * square + place]!;
        }
      }
    }
  }
  return [out];
};
