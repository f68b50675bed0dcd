import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, optionalVectorParam, outOfRange, outShape, param } from './call-reader.ts';

/**
 * out[r, g, c] = x[r, g] · W[:, ids[r, c]] + b[ids[r, c]]: a few logits without the rest of the vocabulary, with the bits
 * that `linear` gives them. Bounded: (m + 1)·u·Σ|terms|.
 */
export const columns: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ids = intInput(call, 1);
  const W = param(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null]);
  const [rows = 0, groups = 0, width = 0] = x.shape;
  expectShape(call, 'ids', ids.shape, [rows, null]);
  expectShape(call, 'W', W.shape, [width, null]);
  const count = ids.shape[1] ?? 0;
  const vocabulary = W.shape[1] ?? 0;
  const bias = optionalVectorParam(call, 1, vocabulary);
  const out = make(outShape(call, 0, [rows, groups, count]));
  const { round } = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < count; c++) {
      const id = ids.data[row * count + c]!;
      if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
      for (let group = row * groups; group < (row + 1) * groups; group++) {
        let chain = 0;
        for (let m = 0; m < width; m++)
          chain = round(chain + x.data[group * width + m]! * W.data[m * vocabulary + id]!);
        out.data[group * count + c] = bias ? chain + bias[id]! : chain;
      }
    }
  }
  return [out];
};
