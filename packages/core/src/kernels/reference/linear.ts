import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { badShape, flagAttr, input, optionalVectorParam, param } from './call-reader.ts';
import { addBias, multiplyRow, transpose } from './multiply-row.ts';

/**
 * x[…, K] · W[K, N] + b. The trailing sizes of x multiply to K (z as [H, d] is read as [H·d]), those of the output to N.
 * `transposed` multiplies by Wᵀ: x[…, N] to […, K]. Each output is one chain over k ascending from 0; the bias is added last. Bounded: (K + 1)·u·Σ|terms|.
 */
export const linear: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const W = param(call, 0);
  const [K, N] = W.shape;
  if (K === undefined || N === undefined || W.shape.length !== 2) throw badShape(call, 'W', [null, null], W.shape);
  const transposed = call.attrs.transposed === undefined ? false : flagAttr(call, 'transposed');
  const [into, outOf] = transposed ? [N, K] : [K, N];
  const bias = optionalVectorParam(call, 1, outOf);
  const leading = leadingSizes(call, 'x', x.shape, into);
  const shape = call.outShapes[0] ?? [...leading, outOf];
  const outLeading = leadingSizes(call, 'out', shape, outOf);
  const rows = product(leading);
  if (rows !== product(outLeading)) throw badShape(call, 'out', [...leading, outOf], shape);
  const out = make(shape);
  const matrix = transposed ? transpose(W.data, K, N) : W.data;
  for (let row = 0; row < rows; row++) {
    const places = { xStart: row * into, wStart: 0, wStride: outOf, outStart: row * outOf };
    multiplyRow({ x: x.data, W: matrix, out: out.data, K: into, N: outOf, ...places });
  }
  addBias(out.data, bias);
  return [out];
};

/** What is left of a shape when trailing sizes that multiply to `width` are taken off; the fewest that do. */
function leadingSizes(call: KernelCall, name: string, shape: readonly number[], width: number): readonly number[] {
  let trailing = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    trailing *= shape[axis]!;
    if (trailing === width) return shape.slice(0, axis);
  }
  throw badShape(call, name, [null, width], shape);
}

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);
