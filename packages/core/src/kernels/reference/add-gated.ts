import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, input, optionalInput, outShape, rowsAndWidth } from './call-reader.ts';
import { expertGate } from './expert-gate.ts';

/** x + gate·y, product and sum rounded one by one; where the gate is 0 just x. Exact. */
export const addGated: ReferenceKernel = (call, make) => {
  const x = optionalInput(call, 0);
  const y = input(call, 1);
  if (x && x.shape.join() !== y.shape.join()) throw badShape(call, 'x', y.shape, x.shape);
  const { rows, width } = rowsAndWidth(y.shape);
  const gate = expertGate(call, 2, rows);
  const out = make(outShape(call, 0, y.shape));
  const { round } = arithmeticOf(out.data);
  if (x) out.data.set(x.data);
  for (let row = 0; row < rows; row++) {
    const factor = gate.of(row);
    if (factor === 0) continue;
    for (let at = row * width; at < (row + 1) * width; at++) {
      const product = round(factor * y.data[at]!);
      out.data[at] = x ? out.data[at]! + product : product;
    }
  }
  return [out];
};
