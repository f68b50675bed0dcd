import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { badShape, input } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';
import { multiplyRow } from './multiply-row.ts';

/**
 * out[c] = Σ_t x[t]ᵀ · ct[t] over the rows of group c, [K, N]: one chain over the rows ascending. An input with fewer rows
 * serves each group anew. Bounded: rows·u·Σ|terms|.
 */
export const linearGradWeight: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = input(call, 1);
  const [, K = 0, N = 0] = call.outShapes[0] ?? [];
  const { groups, shape } = groupedShape(call, [K, N]);
  const rows = pairedRows(call, groups, rowsOf(call, 'x', x.data.length, K), rowsOf(call, 'ct', ct.data.length, N));
  const out = make(shape);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < rows.perGroup; at++) {
      const xStart = rows.first(group, at) * K;
      const wStart = rows.second(group, at) * N;
      for (let k = 0; k < K; k++) {
        const outStart = (group * K + k) * N;
        multiplyRow({
          x: x.data,
          xStart: xStart + k,
          W: ct.data,
          wStart,
          wStride: 0,
          out: out.data,
          outStart,
          K: 1,
          N,
        });
      }
    }
  }
  return [out];
};

function rowsOf(call: KernelCall, name: string, length: number, width: number) {
  if (width > 0 && length % width !== 0) throw badShape(call, name, [null, width], [length]);
  return { name, rows: width === 0 ? 0 : length / width };
}
