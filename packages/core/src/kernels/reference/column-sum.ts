import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, expectShape, input, optionalInput } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/**
 * out[c, j] = Σ_t ct[t, j] (· x[t, j]) over the rows of group c: one chain over the rows ascending from 0, fused where
 * there is x, which may have fewer rows. Bounded: rows·u·Σ|terms|.
 */
export const columnSum: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const x = optionalInput(call, 1);
  if (x) expectShape(call, 'x', x.shape.slice(1), ct.shape.slice(1));
  const N = call.outShapes[0]?.[1] ?? 0;
  const { groups, shape } = groupedShape(call, [N]);
  const rowsOf = (length: number): number => (N === 0 ? 0 : length / N);
  if (N > 0 && ct.data.length % N !== 0) throw badShape(call, 'ct', [null, N], ct.shape);
  const factor = { name: 'x', rows: rowsOf((x ?? ct).data.length) };
  const pairs = pairedRows(call, groups, { name: 'ct', rows: rowsOf(ct.data.length) }, factor);
  const out = make(shape);
  const { fma } = arithmeticOf(out.data);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      const from = pairs.first(group, at) * N;
      const other = pairs.second(group, at) * N;
      for (let j = 0; j < N; j++) {
        const to = group * N + j;
        out.data[to] = x
          ? fma(ct.data[from + j]!, x.data[other + j]!, out.data[to]!)
          : out.data[to]! + ct.data[from + j]!;
      }
    }
  }
  return [out];
};
