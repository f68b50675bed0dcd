import type { BenchOperation, OutputRow } from './operation.ts';

/** One way to compute an operation, ready to be run. */
export interface Prepared {
  /** What of this operation only the one who computes it knows: which call, in which layout. */
  readonly settings?: { readonly [name: string]: string };
  /** Outputs that can only be had rounded to bf16. */
  readonly output?: 'bf16';
  /** Nanoseconds of each of `samples` runs behind `warmUp` others. */
  readonly block: (samples: number, warmUp: number, signal: AbortSignal) => Promise<readonly number[]>;
  /** What the last run gave at these rows. */
  readonly rows: (rows: readonly number[]) => Promise<readonly OutputRow[]>;
  readonly release: () => void | Promise<void>;
}

export interface Setting {
  readonly threads: number;
  readonly regime: 'hot' | 'cold';
  /** Bytes to walk through where cold. */
  readonly coldBytes: number;
}

/** Who computes. */
export interface Contender {
  readonly name: string;
  readonly version?: string;
  readonly settings: { readonly [name: string]: string };
  readonly output: 'fresh' | 'reused';
  /** Where the operation asks for packing inside or before, which of the two this one does. */
  readonly packing: 'inside' | 'before' | 'none';
  readonly plays: (operation: BenchOperation, setting: Omit<Setting, 'coldBytes'>) => boolean;
  /** Only for what it plays. */
  readonly prepare: (operation: BenchOperation, setting: Setting) => Promise<Prepared>;
}
