import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, outOfRange, outShape } from './call-reader.ts';
import { ignoredId } from './cross-entropy.ts';
import { treeSum } from './fixed-tree.ts';

/**
 * ct·(softmax(logits) − one-hot), softmax with the bits that `softmax` gives it; 0 where the id is −100, whatever stands in
 * the row. A row with NaN or +∞ gives NaN. Bounded: |ct| times the bound of softmax, plus 2u·|out|.
 */
export const crossEntropyGrad: ReferenceKernel = (call, make) => {
  const logits = input(call, 0);
  const ids = intInput(call, 1);
  const ct = input(call, 2);
  expectShape(call, 'ids', ids.shape, logits.shape.slice(0, -1));
  expectShape(call, 'ct', ct.shape, ids.shape);
  const vocabulary = logits.shape.at(-1) ?? 0;
  const out = make(outShape(call, 0, logits.shape));
  const arithmetic = arithmeticOf(out.data);
  const { round } = arithmetic;
  ids.data.forEach((id, at) => {
    if (id === ignoredId) return;
    if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
    const start = at * vocabulary;
    let max = Number.NEGATIVE_INFINITY;
    for (let v = start; v < start + vocabulary; v++) max = Math.max(max, logits.data[v]!);
    for (let v = start; v < start + vocabulary; v++) {
      // A row of −∞ alone has a softmax of zeros.
      out.data[v] = max === Number.NEGATIVE_INFINITY ? 0 : Math.exp(round(logits.data[v]! - max));
    }
    const total = max === Number.NEGATIVE_INFINITY ? 1 : treeSum(out.data, start, vocabulary, arithmetic);
    for (let v = start; v < start + vocabulary; v++) {
      const p = round(out.data[v]! / total);
      out.data[v] = ct.data[at]! * round(v === start + id ? p - 1 : p);
    }
  });
  return [out];
};
