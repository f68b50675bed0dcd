import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { groupedShape, pairedRows } from './groups.ts';

/**
 * out[c, h] = Σ positions[r, j]·ct[r, h, i, j] over the rows of group c: over the keys of a query by the fixed tree, these added
 * in the order of rows and queries. Bounded: terms·u·Σ|terms|.
 */
export const addAlibiGrad: ReferenceKernel = (call, make) => {
  const positions = intInput(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'ct', ct.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = ct.shape;
  expectShape(call, 'positions', positions.shape, [null, keys]);
  const { groups, shape } = groupedShape(call, [heads]);
  const pairs = pairedRows(call, groups, { name: 'positions', rows: positions.shape[0] ?? 0 }, { name: 'ct', rows });
  const out = make(shape);
  const arithmetic = arithmeticOf(out.data);
  const { data: places } = make([keys]);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      const from = pairs.first(group, at) * keys;
      for (let key = 0; key < keys; key++) places[key] = positions.data[from + key]!;
      for (let head = 0; head < heads; head++) {
        const to = group * heads + head;
        for (let query = 0; query < pos; query++) {
          const start = ((pairs.second(group, at) * heads + head) * pos + query) * keys;
          const line = treeDot({ data: places, start: 0 }, { data: ct.data, start }, keys, arithmetic);
          out.data[to] = out.data[to]! + line;
        }
      }
    }
  }
  return [out];
};
