import type { ReferenceKernel } from '../contract.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import { multiplyRow } from './multiply-row.ts';

/**
 * z[r, i, h] = Σ_j pattern[r, h, i, j] · v[r, j, kv(h)], one chain over keys ascending. A weight of exactly 0 reads nothing,
 * so the NaN of a masked position stays where it is. Bounded: S·u·Σ|terms|.
 */
export const mix: ReferenceKernel = (call, make) => {
  const pattern = input(call, 0);
  const v = input(call, 1);
  expectShape(call, 'pattern', pattern.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = pattern.shape;
  expectShape(call, 'v', v.shape, [rows, keys, null, null]);
  const [, , kvHeads = 0, width = 0] = v.shape;
  if (kvHeads === 0 ? heads > 0 : heads % kvHeads !== 0) throw badShape(call, 'v', [rows, keys, heads, width], v.shape);
  const out = make(outShape(call, 0, [rows, pos, heads, width]));
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
            W: v.data,
            wStart: ((row * keys + key) * kvHeads + kvHead) * width,
            wStride: 0,
            out: out.data,
            outStart: ((row * pos + query) * heads + head) * width,
            K: 1,
            N: width,
          });
        }
      }
    }
  }
  return [out];
};
