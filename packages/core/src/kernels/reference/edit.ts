import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, input, numberAttr, optionalInput, optionalIntInput, outShape, wordAttr } from './call-reader.ts';
import { coefficients, type InnerSizes, innerSizes, maskTest } from './inner-sizes.ts';

/**
 * Writes to a site where every given mask is nonzero; elsewhere the bits of x pass. With y = coef[r] · value, rounded:
 * set gives y, add x + y, scale x · y. The value is `constant` ('none'), one number, [n2, n3] for every row and n1, or
 * [Rv, n1, n2, n3] of which row r reads r mod Rv. Exact.
 */
export const edit: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const sizes = innerSizes(call, x);
  const { rows, n1, n2, n3 } = sizes;
  const op = wordAttr(call, 'op', ['set', 'add', 'scale']);
  const out = make(outShape(call, 0, x.shape));
  const { round } = arithmeticOf(out.data);
  const valueAt = readValue(call, sizes, round);
  const inA = maskTest(call, 'maskA', optionalIntInput(call, 2), rows, n1);
  const inB = maskTest(call, 'maskB', optionalIntInput(call, 3), rows, n2);
  const inC = maskTest(call, 'maskC', optionalIntInput(call, 4), rows, n3);
  const coef = coefficients(call, optionalInput(call, 5), rows);
  out.data.set(x.data);
  for (let row = 0; row < rows; row++) {
    const factor = coef(row);
    for (let a = 0; a < n1; a++) {
      if (!inA(row, a)) continue;
      for (let b = 0; b < n2; b++) {
        if (!inB(row, b)) continue;
        const inner = (a * n2 + b) * n3;
        const start = row * n1 * n2 * n3 + inner;
        for (let c = 0; c < n3; c++) {
          if (!inC(row, c)) continue;
          const y = round(factor * valueAt(row, inner + c));
          const old = x.data[start + c]!;
          out.data[start + c] = op === 'set' ? y : op === 'add' ? old + y : old * y;
        }
      }
    }
  }
  return [out];
};

/** The value at an entry, as a function of the row and the place inside it. */
function readValue(
  call: KernelCall,
  sizes: InnerSizes,
  round: (value: number) => number,
): (row: number, inner: number) => number {
  const kind = wordAttr(call, 'valueShape', ['none', 'scalar', 'vector', 'rows']);
  if (kind === 'none') {
    const constant = round(numberAttr(call, 'constant'));
    return () => constant;
  }
  const { data, shape }: Tensor = input(call, 1);
  const vector = sizes.n2 * sizes.n3;
  const row = sizes.n1 * vector;
  const fits = {
    scalar: data.length === 1,
    vector: data.length === vector,
    rows: row === 0 ? data.length === 0 : data.length % row === 0 && (data.length > 0 || sizes.rows === 0),
  };
  if (!fits[kind]) {
    const { n1, n2, n3 } = sizes;
    throw badShape(call, 'value', { scalar: [1], vector: [n2, n3], rows: [null, n1, n2, n3] }[kind], shape);
  }
  if (kind === 'scalar') return () => data[0]!;
  if (kind === 'vector') return (_, inner) => data[inner % vector]!;
  const valueRows = data.length / row;
  return (r, inner) => data[(r % valueRows) * row + inner]!;
}
