import { intZeros } from '../../tensor/index.ts';
import type { KernelCall, KernelResult, ReferenceKernel } from '../contract.ts';
import { countAttr, outShape } from './call-reader.ts';
import { firstInOrder } from './descending.ts';
import { givenRows, type LatentRows, latentRows } from './latent-rows.ts';

/**
 * Reads each token through a dictionary and keeps the k first of its active latents (latent-rows.ts), in the order of
 * descending.ts. `count` is the number kept; the rest of a row is value 0 and index −1. One row of F at a time, never T × F.
 * Values bounded as linear; the choice is exact given the values.
 */
export const biasActTopK: ReferenceKernel = (call, make) => firstActive(call, latentRows(call, make), make);

/** The same from latents that are there: active are those that are not 0. Exact. */
export const activeTopK: ReferenceKernel = (call, make) => firstActive(call, givenRows(call), make);

function firstActive(
  call: KernelCall,
  { leading, tokens, rows }: LatentRows,
  make: Parameters<ReferenceKernel>[1],
): KernelResult {
  const k = countAttr(call, 'k');
  const values = make(outShape(call, 0, [...leading, k]));
  const indices = intZeros(outShape(call, 1, [...leading, k]));
  const counts = intZeros(outShape(call, 2, leading));
  indices.data.fill(-1);
  for (let token = 0; token < tokens; token++) {
    const { row, active } = rows(token);
    const kept = firstInOrder((i) => row[i]!, active, k);
    counts.data[token] = kept.length;
    kept.forEach((index, at) => {
      values.data[token * k + at] = row[index]!;
      indices.data[token * k + at] = index;
    });
  }
  return [values, indices, counts];
}
