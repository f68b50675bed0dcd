import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { expectShape, input, outShape, wanted } from './call-reader.ts';
import { mix } from './mix.ts';
import { scores } from './scores.ts';
import { softmax } from './softmax.ts';

/** scores, softmax and mix in one step, with the bits of the three, whether or not scores and pattern are wanted. */
export const attention: ReferenceKernel = (call, make) => {
  const [q = null, k = null, v = null, mask = null] = call.inputs;
  const { shape } = input(call, 0);
  expectShape(call, 'q', shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0] = shape;
  const [, keys = 0, , width = 0] = input(call, 2).shape;
  const square = [rows, heads, pos, keys];
  const part = (kernel: KernelCall['kernel'], inputs: KernelCall['inputs'], out: readonly number[]): KernelCall => ({
    kernel,
    inputs,
    params: [],
    attrs: call.attrs,
    outShapes: [out],
    wanted: [true],
  });
  const [raw = null] = scores(part('scores', [q, k, mask], outShape(call, 1, square)), make);
  const [pattern = null] = softmax(part('softmax', [raw], outShape(call, 2, square)), make);
  const [z = null] = mix(part('mix', [pattern, v], outShape(call, 0, [rows, pos, heads, width])), make);
  return [z, wanted(call, 1) ? raw : null, wanted(call, 2) ? pattern : null];
};
