import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensorsHeader, readStoredFloat64 } from '../checkpoints/index.ts';
import { hasShared, shared } from '../checkpoints/shared-data.ts';
import type { Tensor } from '../tensor/index.ts';

// For tests alone: recorded values of reference implementations, which lie beside the repository.

/** The folder with recorded data, or null where a checkout stands alone; tests then skip and say so. */
export const sharedFolder: string | null = hasShared ? shared : null;

export const withoutShared =
  'no recorded data: put them beside the repository as ../shared or name their folder in CIRCUITSCOPE_SHARED';

export function sharedPath(...parts: string[]): string {
  return join(sharedFolder ?? '', ...parts);
}

export function sharedJson(...parts: string[]): unknown {
  return JSON.parse(readFileSync(sharedPath(...parts), 'utf8'));
}

/** All tensors of a recorded safetensors file, in float64, read one by one as they are asked for. */
export function recorded(...parts: string[]): {
  readonly names: readonly string[];
  readonly read: (name: string) => Tensor;
} {
  const tensors = new Map(readSafetensorsHeader(sharedPath(...parts)).tensors.map((stored) => [stored.name, stored]));
  return {
    names: [...tensors.keys()],
    read: (name) => {
      const found = tensors.get(name);
      if (!found) throw new Error(`${parts.join('/')} records no ${name}`);
      return { shape: found.shape, data: readStoredFloat64(found) };
    },
  };
}

/** max |got − expected| / max |expected|, the measure of the recorded tolerances; equal infinities count as equal. */
export function relativeError(got: Tensor, expected: Tensor): number {
  if (got.shape.join() !== expected.shape.join())
    throw new Error(`shape [${got.shape}] instead of [${expected.shape}]`);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const a = got.data[i] ?? Number.NaN;
    const b = expected.data[i] ?? Number.NaN;
    if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
    if (a === b) continue;
    const difference = Math.abs(a - b);
    if (!Number.isFinite(difference)) return Number.POSITIVE_INFINITY;
    error = Math.max(error, difference);
  }
  return largest === 0 ? error : error / largest;
}
