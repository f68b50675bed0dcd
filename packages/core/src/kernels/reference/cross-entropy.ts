import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, outOfRange, outShape } from './call-reader.ts';
import { treeSum } from './fixed-tree.ts';

/** The id that asks for no loss at a position. */
export const ignoredId = -100;

/**
 * loss[r, g] = log Σ_v exp(logits[r, g, v]) − logits[r, g, ids[r, g]], in nats; 0 where the id is −100. Computed as
 * log Σ exp(x − max) + (max − x[id]), the sum by the fixed tree. A row with NaN or +∞ gives NaN.
 * Bounded: u·((⌈V/32⌉ + 16) + 2·loss + 4·|max − x[id]|).
 */
export const crossEntropy: ReferenceKernel = (call, make) => {
  const logits = input(call, 0);
  const ids = intInput(call, 1);
  expectShape(call, 'ids', ids.shape, logits.shape.slice(0, -1));
  const vocabulary = logits.shape.at(-1) ?? 0;
  const out = make(outShape(call, 0, ids.shape));
  const arithmetic = arithmeticOf(out.data);
  const { round } = arithmetic;
  const { data: terms } = make([vocabulary]);
  ids.data.forEach((id, at) => {
    if (id === ignoredId) return;
    if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
    const start = at * vocabulary;
    let max = Number.NEGATIVE_INFINITY;
    for (let v = start; v < start + vocabulary; v++) max = Math.max(max, logits.data[v]!);
    for (let v = 0; v < vocabulary; v++) terms[v] = Math.exp(round(logits.data[start + v]! - max));
    const logTotal = round(Math.log(treeSum(terms, 0, vocabulary, arithmetic)));
    out.data[at] = logTotal + round(max - logits.data[start + id]!);
  });
  return [out];
};
