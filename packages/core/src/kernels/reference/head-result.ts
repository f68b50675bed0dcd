import type { ReferenceKernel } from '../contract.ts';
import { countAttr, expectShape, input, outOfRange, outShape, param } from './call-reader.ts';
import { multiplyRow } from './multiply-row.ts';

/**
 * out[r, p, h] = z[r, p, h] · W[block of h, :]: what each head writes to the residual stream; the bias belongs to no head.
 * With the attribute `head` only that head, as [R, P, m], with the bits it has among all. Bounded: d·u·Σ|terms|.
 */
export const headResult: ReferenceKernel = (call, make) => {
  const z = input(call, 0);
  expectShape(call, 'z', z.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, width = 0] = z.shape;
  const W = param(call, 0);
  expectShape(call, 'W', W.shape, [heads * width, null]);
  const N = W.shape[1] ?? 0;
  const only = call.attrs.head === undefined ? null : countAttr(call, 'head');
  if (only !== null && only >= heads) throw outOfRange(call, 'head', only, heads);
  const chosen = only === null ? Array.from({ length: heads }, (_, head) => head) : [only];
  const out = make(outShape(call, 0, only === null ? [rows, pos, heads, N] : [rows, pos, N]));
  for (let token = 0; token < rows * pos; token++) {
    chosen.forEach((head, at) => {
      const places = {
        xStart: (token * heads + head) * width,
        wStart: head * width * N,
        wStride: N,
        outStart: (token * chosen.length + at) * N,
      };
      multiplyRow({ x: z.data, W: W.data, out: out.data, K: width, N, ...places });
    });
  }
  return [out];
};
