import type { ReferenceKernel } from '../contract.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import { multiplyRow } from './multiply-row.ts';

/**
 * out[r, j, g] = Σ_{h of g} Σ_i pattern[r, h, i, j] · x[r, i, h]: what comes back to a value from the queries that read it.
 * One chain over the heads of the group and in each over the queries, ascending. A weight of exactly 0 reads nothing.
 * Bounded: (heads of a group)·P·u·Σ|terms|.
 */
export const mixTransposed: ReferenceKernel = (call, make) => {
  const pattern = input(call, 0);
  const x = input(call, 1);
  expectShape(call, 'pattern', pattern.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = pattern.shape;
  expectShape(call, 'x', x.shape, [rows, pos, heads, null]);
  const width = x.shape[3] ?? 0;
  const kvHeads = call.outShapes[0]?.[2] ?? heads;
  if (kvHeads === 0 ? heads > 0 : heads % kvHeads !== 0)
    throw badShape(call, 'out', [rows, keys, heads, width], [kvHeads]);
  const out = make(outShape(call, 0, [rows, keys, kvHeads, width]));
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      for (let query = 0; query < pos; query++) {
        for (let key = 0; key < keys; key++) {
          const weight = ((row * heads + head) * pos + query) * keys + key;
          if (pattern.data[weight] === 0) continue;
          multiplyRow({
            x: pattern.data,
            xStart: weight,
            W: x.data,
            wStart: ((row * pos + query) * heads + head) * width,
            wStride: 0,
            out: out.data,
            outStart: ((row * keys + key) * kvHeads + kvHead) * width,
            K: 1,
            N: width,
          });
        }
      }
    }
  }
  return [out];
};
