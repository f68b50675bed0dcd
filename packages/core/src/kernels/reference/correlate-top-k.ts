import { intZeros, type Tensor } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import {
  badShape,
  countAttr,
  expectShape,
  flagAttr,
  input,
  optionalInput,
  optionalIntInput,
  outOfRange,
  outShape,
} from './call-reader.ts';

/**
 * For each column of a the columns of b with the largest Pearson correlation (with `absolute`: in size), ties by index; value
 * 0 and index −1 where there are fewer. A column that is constant, or not finite throughout, has no correlation: it gets no
 * partner and is nobody's. Columns are centred and scaled to length 1 in float64 and rounded to the precision of the run;
 * each correlation is one float64 chain over the rows ascending, cut to [−1, 1] and rounded. Bounded: 4u.
 */
export const correlateTopK: ReferenceKernel = (call, make) => {
  const [a, b] = [input(call, 0), input(call, 1)];
  expectShape(call, 'a', a.shape, [null, null]);
  const [n = 0, p = 0] = a.shape;
  expectShape(call, 'b', b.shape, [n, null]);
  const q = b.shape[1] ?? 0;
  const k = countAttr(call, 'k');
  const absolute = flagAttr(call, 'absolute');
  const first = call.attrs.first === undefined ? 0 : countAttr(call, 'first');
  if (first + q > 2 ** 31 - 1) throw outOfRange(call, 'first', first, 2 ** 31 - 1 - q);
  const [known, places] = [optionalInput(call, 2), optionalIntInput(call, 3)];
  if (known) expectShape(call, 'values', known.shape, [p, k]);
  if (places || known) expectShape(call, 'indices', places?.shape ?? [], [p, k]);
  if (places && !known) throw badShape(call, 'values', [p, k], []);
  const values = make(outShape(call, 0, [p, k]));
  const indices = intZeros(outShape(call, 1, [p, k]));
  indices.data.fill(-1);
  const { round } = arithmeticOf(values.data);
  const [own, others] = [unitColumns(a, round), unitColumns(b, round)];
  const size = (value: number): number => (absolute ? Math.abs(value) : value);
  for (let i = 0; i < p; i++) {
    const offered: { readonly value: number; readonly index: number }[] = [];
    for (let at = i * k; at < (i + 1) * k; at++) {
      const [value, index] = [known?.data[at] ?? 0, places?.data[at] ?? -1];
      // What is not a correlation of a column came from nowhere.
      if (index >= 0 && Math.abs(value) <= 1) offered.push({ value, index });
    }
    const column = own[i];
    if (column) {
      others.forEach((other, j) => {
        if (!other) return;
        let sum = 0;
        for (let row = 0; row < n; row++) sum += column[row]! * other[row]!;
        offered.push({ value: round(Math.min(1, Math.max(-1, sum))), index: first + j });
      });
    }
    offered.sort((x, y) => size(y.value) - size(x.value) || x.index - y.index);
    for (const [at, { value, index }] of offered.slice(0, k).entries()) {
      values.data[i * k + at] = value;
      indices.data[i * k + at] = index;
    }
  }
  return [values, indices];
};

/** Each column less its mean, over its length; null where it has no direction. */
function unitColumns(x: Tensor, round: (value: number) => number): readonly (Float64Array | null)[] {
  const [n = 0, width = 0] = x.shape;
  return Array.from({ length: width }, (_, at) => {
    const column = Float64Array.from({ length: n }, (_, row) => x.data[row * width + at]!);
    const mean = column.reduce((sum, value) => sum + value, 0) / n;
    const square = column.reduce((sum, value) => sum + (value - mean) * (value - mean), 0);
    if (!Number.isFinite(square) || column.every((value) => value === column[0])) return null;
    const factor = 1 / Math.sqrt(square);
    return column.map((value) => round((value - mean) * factor));
  });
}
