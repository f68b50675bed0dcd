import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { expectShape, input, optionalInput } from './call-reader.ts';
import { groupedShape, pairedRows } from './groups.ts';

/**
 * out[q, n] = Σ_t Σ_place ct[t, n, place] (· x[t, n, place]) over the rows t of group q: one chain over the rows, then over
 * the places, ascending from 0, fused where there is x. Bounded: rows·places·u·Σ|terms|.
 */
export const channelSum: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const x = optionalInput(call, 1);
  const [rows = 0, channels = 0, ...rest] = ct.shape;
  if (x) expectShape(call, 'x', x.shape.slice(1), ct.shape.slice(1));
  const places = rest.reduce((product, size) => product * size, 1);
  const { groups, shape } = groupedShape(call, [channels]);
  const other = { name: 'x', rows: (x ?? ct).shape[0] ?? 0 };
  const pairs = pairedRows(call, groups, { name: 'ct', rows }, other);
  const out = make(shape);
  const { fma, round } = arithmeticOf(out.data);
  for (let group = 0; group < groups; group++) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let at = 0; at < pairs.perGroup; at++) {
        const from = (pairs.first(group, at) * channels + channel) * places;
        const factor = (pairs.second(group, at) * channels + channel) * places;
        for (let place = 0; place < places; place++) {
          const value = ct.data[from + place]!;
          sum = x ? fma(value, x.data[factor + place]!, sum) : round(sum + value);
        }
      }
      out.data[group * channels + channel] = sum;
    }
  }
  return [out];
};
