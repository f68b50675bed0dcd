import type { ReferenceKernel } from '../contract.ts';
import { countAttr, expectShape, input, outOfRange } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';
import { multiplyRow } from './multiply-row.ts';

/** out[c][block of h, :] = Σ_t z[t, h]ᵀ · ct[t, h]; with the attribute `head` the other blocks are 0. One chain over tokens. */
export const headResultGradWeight: ReferenceKernel = (call, make) => {
  const z = input(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'z', z.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, width = 0] = z.shape;
  const only = call.attrs.head === undefined ? null : countAttr(call, 'head');
  if (only !== null && only >= heads) throw outOfRange(call, 'head', only, heads);
  expectShape(call, 'ct', ct.shape, only === null ? [null, pos, heads, null] : [null, pos, null]);
  const N = ct.shape.at(-1) ?? 0;
  const { groups, shape } = groupedShape(call, [heads * width, N]);
  const ctRows = { name: 'ct', rows: (ct.shape[0] ?? 0) * pos };
  const pairs = pairedRows(call, groups, { name: 'z', rows: rows * pos }, ctRows);
  const out = make(shape);
  const chosen = only === null ? Array.from({ length: heads }, (_, head) => head) : [only];
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      chosen.forEach((head, index) => {
        const xStart = (pairs.first(group, at) * heads + head) * width;
        const wStart = (pairs.second(group, at) * chosen.length + index) * N;
        for (let k = 0; k < width; k++) {
          const outStart = (group * heads * width + head * width + k) * N;
          multiplyRow({
            x: z.data,
            xStart: xStart + k,
            W: ct.data,
            wStart,
            wStride: 0,
            out: out.data,
            outStart,
            K: 1,
            N,
          });
        }
      });
    }
  }
  return [out];
};
