import { CircuitscopeError } from '@circuitscope/schema';
import type { Attributes, Dim } from '../graph/index.ts';
import type { KernelValue } from '../kernels/index.ts';

/** A compiled plan: plain data that both executors run in one call. Dense row-major values of 4 bytes an entry, 8 where they are f64. */
export interface Program {
  readonly version: 1;
  /** Values that are never alive together share a slot; a slot is as large as the largest of its values. */
  readonly values: readonly ProgramValue[];
  readonly slots: number;
  readonly inputs: readonly { readonly name: string; readonly value: number }[];
  readonly params: readonly string[];
  readonly steps: readonly Step[];
  readonly outputs: readonly { readonly name: string; readonly value: number }[];
}

export interface ProgramValue {
  readonly shape: readonly Dim[];
  readonly dtype: KernelValue['dtype'];
  readonly slot: number;
}

export interface Step {
  readonly kernel: string;
  /** Indices into `values`; -1 stands for an input or output that is left out. */
  readonly in: readonly number[];
  readonly out: readonly number[];
  /** Indices into `params`; -1 stands for a parameter that is left out. */
  readonly params: readonly number[];
  readonly attrs: Attributes;
}

export type Sizes = { readonly [symbol: string]: number };

export function boundShape(shape: readonly Dim[], sizes: Sizes): number[] {
  return shape.map((dim) => {
    const size = typeof dim === 'number' ? dim : sizes[dim];
    if (size === undefined) throw new CircuitscopeError('bad_program', `The size ${dim} is not bound for this call.`);
    return size;
  });
}

/** Bytes of the arena of one call, known before it starts: the sum over slots of their largest value. */
export function programBytes(program: Program, sizes: Sizes): number {
  const bytes = new Array<number>(program.slots).fill(0);
  for (const value of program.values) {
    const size = (value.dtype === 'f64' ? 8 : 4) * boundShape(value.shape, sizes).reduce((a, b) => a * b, 1);
    bytes[value.slot] = Math.max(bytes[value.slot] ?? 0, size);
  }
  return bytes.reduce((a, b) => a + b, 0);
}
