import { intZeros, zeros } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { countAttr, expectShape, intInput, optionalInput, outShape } from './call-reader.ts';
import { latentRows } from './latent-rows.ts';

/** Exponents of two at which bins of the histogram begin: 2^first to 2^last; one more bin lies before the first. */
export const latentBins = { first: -12, last: 11 } as const;
const BINS = latentBins.last - latentBins.first + 2;

/**
 * What the active latents (latent-rows.ts) of the tokens that `counted` names were, by latent: sum and sum of squares, which
 * go on from `before`; how often, and the histogram; the first `examples` values and their tokens, value descending, NaN
 * first, ties by token, then value 0 and token −1. Sums are float64 chains over tokens whatever the precision of the run.
 * Values bounded as linear; the rest is exact given the values.
 */
export const latentStatistics: ReferenceKernel = (call, make) => {
  const { tokens, leading, rows } = latentRows(call, make);
  const counted = intInput(call, 1);
  expectShape(call, 'counted', counted.shape, leading);
  const latents = call.params[0]?.shape[1] ?? 0;
  const examples = countAttr(call, 'examples');
  const before = optionalInput(call, 2);
  if (before) expectShape(call, 'before', before.shape, [latents, 2]);
  const sums = zeros(outShape(call, 0, [latents, 2]), 'f64');
  const counts = intZeros(outShape(call, 1, [latents, 1 + BINS]));
  const values = make(outShape(call, 2, [latents, examples]));
  const places = intZeros(outShape(call, 3, [latents, examples]));
  if (before) sums.data.set(before.data);
  places.data.fill(-1);
  for (let token = 0; token < tokens; token++) {
    if (counted.data[token] === 0) continue;
    const { row, active } = rows(token);
    for (const latent of active) {
      const value = row[latent]!;
      sums.data[2 * latent]! += value;
      sums.data[2 * latent + 1]! += value * value;
      counts.data[latent * (1 + BINS)]! += 1;
      counts.data[latent * (1 + BINS) + 1 + latentBin(value)]! += 1;
      const [start, end] = [latent * examples, (latent + 1) * examples];
      let at = end;
      while (at > start && (places.data[at - 1]! < 0 || comesBefore(value, values.data[at - 1]!))) at--;
      if (at === end) continue;
      values.data.copyWithin(at + 1, at, end - 1);
      places.data.copyWithin(at + 1, at, end - 1);
      [values.data[at], places.data[at]] = [value, token];
    }
  }
  return [sums, counts, values, places];
};

/** Larger, or the first NaN. */
export function comesBefore(value: number, other: number): boolean {
  return value > other || (Number.isNaN(value) && !Number.isNaN(other));
}

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);

/** By the exponent: no logarithm, so the bin of a power of two is the one that begins there. NaN lies in the last. */
export function latentBin(value: number): number {
  if (value < 2 ** latentBins.first) return 0;
  number[0] = value;
  const exponent = (((words[1] ?? 0) >>> 20) & 0x7ff) - 1023;
  return Math.min(exponent - latentBins.first + 1, BINS - 1);
}
