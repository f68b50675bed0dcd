import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, expectShape, input, numberAttr, optionalIntInput, outShape } from './call-reader.ts';
import { readsKey } from './reads-key.ts';

/**
 * scores[r, h, i, j] = (q[r, i, h] · k[r, j, kv(h)]) · scale, kv(h) = ⌊h·Hkv/H⌋; −∞ where key j is masked: by its place (see
 * `readsKey`: causal, window), or mask[r, j] = 0. One chain over d ascending, then one product. A masked key is not read, so
 * its NaN does no harm. Bounded: (d + 1)·u·|scale|·Σ|q·k|.
 */
export const scores: ReferenceKernel = (call, make) => {
  const q = input(call, 0);
  const k = input(call, 1);
  const mask = optionalIntInput(call, 2);
  expectShape(call, 'q', q.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, width = 0] = q.shape;
  expectShape(call, 'k', k.shape, [rows, null, null, width]);
  const [, keys = 0, kvHeads = 0] = k.shape;
  if (kvHeads === 0 ? heads > 0 : heads % kvHeads !== 0) throw badShape(call, 'k', [rows, keys, heads, width], k.shape);
  if (mask) expectShape(call, 'mask', mask.shape, [rows, keys]);
  const reads = readsKey(call, pos, keys);
  const out = make(outShape(call, 0, [rows, heads, pos, keys]));
  const { round } = arithmeticOf(out.data);
  const scale = round(numberAttr(call, 'scale'));
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      for (let query = 0; query < pos; query++) {
        const qStart = ((row * pos + query) * heads + head) * width;
        for (let key = 0; key < keys; key++, at++) {
          const hidden = !reads(query, key) || mask?.data[row * keys + key] === 0;
          const kStart = ((row * keys + key) * kvHeads + kvHead) * width;
          let chain = 0;
          for (let i = 0; i < width && !hidden; i++) chain = round(chain + q.data[qStart + i]! * k.data[kStart + i]!);
          out.data[at] = hidden ? Number.NEGATIVE_INFINITY : chain * scale;
        }
      }
    }
  }
  return [out];
};
