import { CircuitscopeError } from '@circuitscope/schema';
import type { Floats, Tensor } from '../tensor/index.ts';
import type { Folding } from './folding.ts';

/** Where a weight lies in a file, for executors that map files instead of reading them. Strides and offset in elements. */
export interface WeightMapping {
  readonly path: string;
  readonly fileBytes: number;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly dtype: 'f32' | 'bf16' | 'f16';
  readonly offset: number;
  readonly strides: readonly number[];
}

/** A weight under its TransformerLens name: a matrix [K, N] (rows in, columns out) or a vector [N]. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  /** Dense row-major values; float32 unless the weight is computed (rotary tables), then float64. Reads the file anew. */
  readonly read: () => Floats;
  /** For computed weights: the same, each entry rounded to float32 once, without a copy in float64. */
  readonly readRounded?: () => Float32Array;
  readonly mapping?: WeightMapping;
  /** For weights computed of others: how, so that an executor may compute them itself, with the same bits. */
  readonly folded?: { readonly folding: Folding; readonly of: Weights };
  /** For weights that change (training): grows with each change, and executors read the values anew when it did. */
  readonly version?: () => number;
}

/** A weight whose entries the caller changes in place; `touch` says that it did. */
export interface MutableWeight extends Weight {
  readonly data: Floats;
  readonly touch: () => void;
}

export function mutableWeight(name: string, shape: readonly number[], data: Floats): MutableWeight {
  let version = 0;
  return { name, shape, data, read: () => data, version: () => version, touch: () => void version++ };
}

export type Weights = ReadonlyMap<string, Weight>;

export function readWeight(weights: Weights, name: string): Tensor {
  const weight = findWeight(weights, name);
  return { shape: weight.shape, data: weight.read() };
}

export function findWeight(weights: Weights, name: string): Weight {
  const weight = weights.get(name);
  if (weight) return weight;
  throw new CircuitscopeError(
    'unknown_param',
    `This model has no weight ${name}; \`model sites\` lists those it has.`,
    {
      at: name,
      got: name,
    },
  );
}
