import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { activationOf } from './activation.ts';
import { arithmeticOf } from './arithmetic.ts';
import {
  badAttribute,
  badShape,
  flagAttr,
  input,
  numberAttr,
  optionalInput,
  optionalVectorParam,
  param,
} from './call-reader.ts';
import { addBias, multiplyRow, transpose } from './multiply-row.ts';

/**
 * x[…, K] · W[K, N] + b. The trailing sizes of x multiply to K (z as [H, d] is read as [H·d]), those of the output to N.
 * `transposed` multiplies by Wᵀ: x[…, N] to […, K]. Each output is one chain over k ascending from 0; the bias is added after it. Bounded: (K + 1)·u·Σ|terms|.
 * Then times `alpha`, plus `beta` · onto (fused; not read where beta is 0), and `fn` of it, each step rounded.
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
  finish(call, out);
  return [out];
};

function finish(call: KernelCall, { shape, data }: Tensor): void {
  const { round, fma } = arithmeticOf(data);
  const alpha = call.attrs.alpha === undefined ? 1 : round(numberAttr(call, 'alpha'));
  const beta = call.attrs.beta === undefined ? 0 : round(numberAttr(call, 'beta'));
  const onto = optionalInput(call, 1);
  if (onto && onto.data.length !== data.length) throw badShape(call, 'onto', shape, onto.shape);
  if (beta !== 0 && !onto) throw badAttribute(call, 'beta', '0 where there is no onto to multiply');
  if (alpha !== 1) for (let i = 0; i < data.length; i++) data[i] = data[i]! * alpha;
  if (beta !== 0 && onto) {
    for (let i = 0; i < data.length; i++) data[i] = fma(beta, onto.data[i]!, data[i]!);
  }
  if (call.attrs.fn === undefined) return;
  const fn = activationOf(call);
  for (let i = 0; i < data.length; i++) data[i] = fn(data[i]!);
}

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
