import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { addAlibi } from './add-alibi.ts';
import { addBias } from './add-bias.ts';
import { expectShape, input, outShape, wanted } from './call-reader.ts';
import { mix } from './mix.ts';
import { scores } from './scores.ts';
import { softCap } from './soft-cap.ts';
import { softmax } from './softmax.ts';

/**
 * scores, soft_cap, add_bias and add_alibi where they are asked for, softmax and mix in one step, with the bits of the steps,
 * whether or not scores and pattern are wanted.
 */
export const attention: ReferenceKernel = (call, make) => {
  const [q = null, k = null, v = null, mask = null, buckets = null, positions = null] = call.inputs;
  const [table = null, slopes = null] = call.params;
  const { shape } = input(call, 0);
  expectShape(call, 'q', shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0] = shape;
  const [, keys = 0, , width = 0] = input(call, 2).shape;
  const square = [rows, heads, pos, keys];
  const part = (
    step: ReferenceKernel,
    kernel: KernelCall['kernel'],
    inputs: KernelCall['inputs'],
    out: readonly number[],
    params: KernelCall['params'] = [],
  ): KernelCall['inputs'][number] =>
    step({ kernel, inputs, params, attrs: call.attrs, outShapes: [out], wanted: [true] }, make)[0] ?? null;
  let read = part(scores, 'scores', [q, k, mask], outShape(call, 1, square));
  if (call.attrs.cap !== undefined) read = part(softCap, 'soft_cap', [read], square);
  if (buckets || table) read = part(addBias, 'add_bias', [read, buckets], square, [table]);
  if (positions || slopes) read = part(addAlibi, 'add_alibi', [read, positions], square, [slopes]);
  const pattern = part(softmax, 'softmax', [read], outShape(call, 2, square));
  const z = part(mix, 'mix', [pattern, v], outShape(call, 0, [rows, pos, heads, width]));
  return [z, wanted(call, 1) ? read : null, wanted(call, 2) ? pattern : null];
};
