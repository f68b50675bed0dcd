import type { ReferenceKernel } from '../contract.ts';
import { badShape, expectShape, flagAttr, input, optionalVectorParam, outShape, param } from './call-reader.ts';
import { addBias, multiplyRow, transpose } from './multiply-row.ts';

/**
 * out[r, p, h] = x[r, p, h] · W[:, block of h] + b[block of h]: every head has its own input. Same chain as linear.
 * `transposed`: out[r, p, h] = W[:, block of h] · x[r, p, h], without a bias.
 */
export const headLinear: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const transposed = call.attrs.transposed === undefined ? false : flagAttr(call, 'transposed');
  const W = param(call, 0);
  const [rows = 0, pos = 0, heads = 0, last = 0] = x.shape;
  const K = transposed ? (W.shape[0] ?? 0) : last;
  const N = W.shape[1] ?? 0;
  expectShape(call, 'W', W.shape, [K, null]);
  if (heads === 0 || N % heads !== 0) throw badShape(call, 'W', [K, null], W.shape);
  const width = N / heads;
  if (transposed) {
    expectShape(call, 'x', x.shape, [rows, pos, heads, width]);
    const back = make(outShape(call, 0, [rows, pos, heads, K]));
    const matrix = transpose(W.data, K, N);
    for (let row = 0; row < rows * pos * heads; row++) {
      const places = { xStart: row * width, wStart: (row % heads) * width * K, wStride: K, outStart: row * K };
      multiplyRow({ x: x.data, W: matrix, out: back.data, K: width, N: K, ...places });
    }
    return [back];
  }
  const bias = optionalVectorParam(call, 1, N);
  const out = make(outShape(call, 0, [rows, pos, heads, width]));
  for (let row = 0; row < rows * pos * heads; row++) {
    const places = { xStart: row * K, wStart: (row % heads) * width, wStride: N, outStart: row * width };
    multiplyRow({ x: x.data, W: W.data, out: out.data, K, N: width, ...places });
  }
  addBias(out.data, bias);
  return [out];
};
