import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, intInput, outShape, vectorParam } from './call-reader.ts';

/**
 * out[r, h, i, j] = x[r, h, i, j] + slopes[h]·positions[r, j]; −∞ stays. Added to the key's own position rather than to its
 * distance: a query's softmax does not see the difference. Exact (fma). Press et al., ALiBi, 2021.
 */
export const addAlibi: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const positions = intInput(call, 1);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = x.shape;
  expectShape(call, 'positions', positions.shape, [rows, keys]);
  const slopes = vectorParam(call, 0, heads);
  const out = make(outShape(call, 0, x.shape));
  const { round, fma } = arithmeticOf(out.data);
  for (let at = 0; at < out.data.length; at++) {
    const line = Math.floor(at / keys / pos);
    const position = round(positions.data[Math.floor(line / heads) * keys + (at % keys)]!);
    const value = x.data[at]!;
    out.data[at] = value === Number.NEGATIVE_INFINITY ? value : fma(slopes[line % heads]!, position, value);
  }
  return [out];
};
