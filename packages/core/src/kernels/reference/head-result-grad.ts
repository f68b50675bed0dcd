import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, countAttr, expectShape, input, outOfRange, outShape, param } from './call-reader.ts';

/**
 * out[r, p, h] = W[block of h, :] · ct[r, p, h]; with the attribute `head` ct is [R, P, m] and other heads are 0. One chain
 * over m ascending. Bounded: m·u·Σ|terms|.
 */
export const headResultGrad: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const W = param(call, 0);
  const only = call.attrs.head === undefined ? null : countAttr(call, 'head');
  expectShape(call, 'ct', ct.shape, only === null ? [null, null, null, null] : [null, null, null]);
  const [rows = 0, pos = 0] = ct.shape;
  const N = ct.shape.at(-1) ?? 0;
  const heads = only === null ? (ct.shape[2] ?? 0) : (call.outShapes[0]?.[2] ?? 0);
  expectShape(call, 'W', W.shape, [null, N]);
  const K = W.shape[0] ?? 0;
  if (heads === 0 || K % heads !== 0) throw badShape(call, 'W', [null, N], W.shape);
  if (only !== null && only >= heads) throw outOfRange(call, 'head', only, heads);
  const width = K / heads;
  const out = make(outShape(call, 0, [rows, pos, heads, width]));
  const { round } = arithmeticOf(out.data);
  const chosen = only === null ? Array.from({ length: heads }, (_, head) => head) : [only];
  for (let token = 0; token < rows * pos; token++) {
    chosen.forEach((head, index) => {
      const start = (token * chosen.length + index) * N;
      for (let k = 0; k < width; k++) {
        let chain = 0;
        for (let n = 0; n < N; n++) chain = round(chain + ct.data[start + n]! * W.data[(head * width + k) * N + n]!);
        out.data[(token * heads + head) * width + k] = chain;
      }
    });
  }
  return [out];
};
