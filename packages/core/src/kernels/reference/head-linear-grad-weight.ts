import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';
import { multiplyRow } from './multiply-row.ts';

/** out[c][:, block of h] = Σ_t x[t, h]ᵀ · ct[t, h] over the tokens of group c, as linear_grad_weight head by head. */
export const headLinearGradWeight: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = input(call, 1);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, K = 0] = x.shape;
  expectShape(call, 'ct', ct.shape, [null, pos, heads, null]);
  const [ctRows = 0, , , width = 0] = ct.shape;
  const N = heads * width;
  const { groups, shape } = groupedShape(call, [K, N]);
  const pairs = pairedRows(call, groups, { name: 'x', rows: rows * pos }, { name: 'ct', rows: ctRows * pos });
  const out = make(shape);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < pairs.perGroup; at++) {
      for (let head = 0; head < heads; head++) {
        const xStart = (pairs.first(group, at) * heads + head) * K;
        const wStart = (pairs.second(group, at) * heads + head) * width;
        for (let k = 0; k < K; k++) {
          const outStart = (group * K + k) * N + head * width;
          multiplyRow({
            x: x.data,
            xStart: xStart + k,
            W: ct.data,
            wStart,
            wStride: 0,
            out: out.data,
            outStart,
            K: 1,
            N: width,
          });
        }
      }
    }
  }
  return [out];
};
