import type { ReferenceKernel } from '../contract.ts';
import { badShape, expectShape, input, optionalVectorParam, outShape, param } from './call-reader.ts';
import { addBias, multiplyRow } from './multiply-row.ts';

/** out[r, p, h] = x[r, p, h] · W[:, block of h] + b[block of h]: every head has its own input. Same chain as linear. */
export const headLinear: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, K = 0] = x.shape;
  const W = param(call, 0);
  const N = W.shape[1] ?? 0;
  expectShape(call, 'W', W.shape, [K, null]);
  if (heads === 0 || N % heads !== 0) throw badShape(call, 'W', [K, null], W.shape);
  const width = N / heads;
  const bias = optionalVectorParam(call, 1, N);
  const out = make(outShape(call, 0, [rows, pos, heads, width]));
  for (let row = 0; row < rows * pos * heads; row++) {
    const places = { xStart: row * K, wStart: (row % heads) * width, wStride: N, outStart: row * width };
    multiplyRow({ x: x.data, W: W.data, out: out.data, K, N: width, ...places });
  }
  addBias(out.data, bias);
  return [out];
};
