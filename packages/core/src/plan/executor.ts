import type { AdamWFactors } from '../kernels/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { Program, Sizes } from './program.ts';
import type { Weights } from './weights.ts';

export interface ExecuteOptions {
  readonly signal?: AbortSignal;
  /** Called with the share of this program's steps that are done, about 20 times a second. */
  readonly onProgress?: (done: number) => void;
  /** Refuse, before anything is allocated, a call whose arena is larger. */
  readonly memoryBytes?: number;
  readonly threads?: number;
}

export interface ExecutorInfo {
  readonly kind: 'reference' | 'native';
  /** Instruction set of the native kernels, or the precision of the reference. */
  readonly path: string;
  readonly threads: number;
  readonly cpu: string;
}

/** Runs a compiled program. Outputs have the length of their bound shape. */
export interface Executor {
  readonly info: ExecutorInfo;
  execute(
    program: Program,
    weights: Weights,
    binding: { readonly sizes: Sizes; readonly inputs: { readonly [name: string]: Floats | Int32Array } },
    options?: ExecuteOptions,
  ): Promise<{ readonly [output: string]: Floats | Int32Array }>;
  /** The update of AdamW in place, if this executor has its own; to the bit that of `training`. */
  readonly adamw?: (entries: AdamWEntries, factors: AdamWFactors) => void;
}

/** Arrays of equal length. */
export interface AdamWEntries {
  readonly data: Float32Array;
  readonly gradient: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}
