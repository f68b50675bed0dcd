import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { countAttr, input, outOfRange, outShape, rowsAndWidth } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { sameAsFirst } from './same-as-first.ts';

/**
 * Σ y·ct of each token, by the fixed tree, at the expert's place, and 0 at those of the others. Tokens that the expert does not
 * get are no exception: a gate that someone opens lets y through. Exact.
 */
export const gateGrad: ReferenceKernel = (call, make) => {
  const y = input(call, 0);
  const ct = sameAsFirst(call, 1);
  const { rows, width } = rowsAndWidth(y.shape);
  const [expert, experts] = [countAttr(call, 'expert'), countAttr(call, 'experts')];
  if (expert >= experts) throw outOfRange(call, 'expert', expert, experts);
  const out = make(outShape(call, 0, [...y.shape.slice(0, -1), experts]));
  const arithmetic = arithmeticOf(out.data);
  for (let row = 0; row < rows; row++) {
    const at = { start: row * width };
    const [a, b] = [
      { data: y.data, ...at },
      { data: ct.data, ...at },
    ];
    out.data[row * experts + expert] = treeDot(a, b, width, arithmetic);
  }
  return [out];
};
