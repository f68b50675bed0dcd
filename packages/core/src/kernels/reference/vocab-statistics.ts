import { type Floats, intZeros } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import {
  badShape,
  countAttr,
  expectShape,
  input,
  optionalInput,
  optionalIntInput,
  optionalVectorParam,
  outOfRange,
  outShape,
  param,
  rowsAndWidth,
  wanted,
} from './call-reader.ts';
import { ignoredId } from './cross-entropy.ts';
import { descending, firstInOrder } from './descending.ts';
import { addBias, multiplyRow } from './multiply-row.ts';
import { capAttr } from './soft-cap.ts';

/**
 * Of the logits l of each row, x·W + b or cap·tanh of that over cap, with p = softmax(l): log Σ exp l, −Σ p log p, log p of an id
 * and its rank (how many come before it in the order of descending.ts), Σ q log(q / p) for the distribution q of a reference row,
 * and the k first logits with their ids. What is not asked for is NaN. NaN or +∞ in a row, and −∞ alone, leave no distribution:
 * NaN, but for log Σ exp = −∞ of the latter and for ranks. Logits as linear and soft_cap; the choice is exact given them.
 */
export const vocabStatistics: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ids = optionalIntInput(call, 1);
  const reference = optionalInput(call, 2);
  const W = param(call, 0);
  const { rows, width } = rowsAndWidth(x.shape);
  expectShape(call, 'W', W.shape, [width, null]);
  const vocabulary = W.shape[1] ?? 0;
  const bias = optionalVectorParam(call, 1, vocabulary);
  const cap = call.attrs.cap === undefined ? null : capAttr(call);
  const k = countAttr(call, 'k');
  const leading = x.shape.slice(0, -1);
  if (ids) expectShape(call, 'ids', ids.shape, leading);
  const others = reference ? rowsAndWidth(reference.shape) : { rows: 0, width };
  if (others.width !== width || (reference && rows > 0 && (others.rows === 0 || rows % others.rows !== 0))) {
    throw badShape(call, 'reference', [null, width], reference?.shape ?? []);
  }
  const statistics = make(outShape(call, 0, [...leading, 5]));
  const values = make(outShape(call, 1, [...leading, k]));
  const indices = intZeros(outShape(call, 2, [...leading, k]));
  indices.data.fill(-1);
  const { round } = arithmeticOf(statistics.data);

  const logitsOf = (from: Floats, row: number): Floats => {
    const { data: out } = make([vocabulary]);
    multiplyRow({
      x: from,
      W: W.data,
      out,
      K: width,
      N: vocabulary,
      xStart: row * width,
      wStart: 0,
      wStride: vocabulary,
      outStart: 0,
    });
    addBias(out, bias);
    if (cap === null) return out;
    const limit = round(cap);
    return out.map((value) => (value === Number.NEGATIVE_INFINITY ? value : limit * Math.tanh(round(value / limit))));
  };
  const all = Array.from({ length: vocabulary }, (_, id) => id);
  for (let row = 0; row < rows; row++) {
    const logits = logitsOf(x.data, row);
    const own = normaliser(logits);
    let [entropy, logProb, rank, divergence] = [0, Number.NaN, Number.NaN, Number.NaN];
    for (const logit of logits) entropy += term(logit, own, () => own.log - (logit - own.max));
    const id = ids?.data[row] ?? ignoredId;
    if (id !== ignoredId) {
      if (id < 0 || id >= vocabulary) throw outOfRange(call, 'ids', id, vocabulary);
      logProb = logits[id]! - own.max - own.log;
      rank = 0;
      logits.forEach((logit, other) => {
        if (descending(logit, other, logits[id]!, id) < 0) rank += 1;
      });
    }
    if (reference) {
      const other = logitsOf(reference.data, row % others.rows);
      const its = normaliser(other);
      divergence = own.log - its.log;
      other.forEach((logit, at) => {
        divergence += term(logit, its, () => logit - its.max - (logits[at]! - own.max));
      });
      if (divergence < 0) divergence = 0;
    }
    if (own.max === Number.NEGATIVE_INFINITY) entropy = Number.NaN;
    statistics.data.set([own.max + own.log, entropy, logProb, rank, divergence], row * 5);
    firstInOrder((at) => logits[at]!, all, k).forEach((index, at) => {
      values.data[row * k + at] = logits[index]!;
      indices.data[row * k + at] = index;
    });
  }
  return [statistics, values, indices].map((out, at) => (wanted(call, at) ? out : null));
};

/** log Σ exp(l − max), and that max. */
function normaliser(logits: Floats): { readonly max: number; readonly log: number } {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) if (logit !== Number.NEGATIVE_INFINITY) sum += Math.exp(logit - max);
  return { max, log: Math.log(sum) };
}

/** p times a factor that is not read where p is 0. */
function term(
  logit: number,
  { max, log }: { readonly max: number; readonly log: number },
  factor: () => number,
): number {
  const p = logit === Number.NEGATIVE_INFINITY ? 0 : Math.exp(logit - max - log);
  return p === 0 ? 0 : p * factor();
}
