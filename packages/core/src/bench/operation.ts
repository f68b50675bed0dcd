import type { Attributes } from '../graph/index.ts';
import type { BenchEntries } from './data.ts';

/** The outputs of one row, as whoever computed them gives them back. */
export interface OutputRow {
  readonly row: number;
  readonly values: ArrayLike<number>;
  /** Of a projection: which columns were kept, −1 behind the last. */
  readonly indices?: ArrayLike<number>;
}

/** How far a result is from float64, as a share of what rounding explains. */
export interface Accuracy {
  readonly maxError: number;
  readonly ofBound: number;
  readonly checked: number;
}

export interface OperationWeight {
  readonly name: string;
  readonly dtype: 'f32' | 'bf16';
  readonly shape: readonly number[];
  /** Stream of `benchData`. */
  readonly stream: number;
}

export interface OperationInput {
  readonly name: string;
  readonly shape: readonly number[];
  /** f32: the stream of `benchEntries`. i32: index i holds stream·i mod `below`. */
  readonly stream: number;
  readonly entries?: BenchEntries;
  readonly below?: number;
}

/** One declared benchmark: a kernel with its shapes, its data, its work, and how to tell a right result. */
export interface BenchOperation {
  readonly name: string;
  readonly title: string;
  readonly kernel: string;
  readonly attrs: Attributes;
  readonly shape: string;
  readonly dtype: 'f32' | 'bf16';
  readonly inputs: readonly OperationInput[];
  /** In the order of the kernel's parameters; null for one that is left out. */
  readonly weights: readonly (OperationWeight | null)[];
  /** Shape of each output; i32 where said, null for one that is not asked for. */
  readonly outputs: readonly ({ readonly shape: readonly number[]; readonly dtype: 'f32' | 'i32' } | null)[];
  readonly flops: number;
  /** Each input, weight and output once. */
  readonly bytes: number;
  readonly regimes: readonly ('hot' | 'cold')[];
  readonly packings: readonly ('inside' | 'before' | 'none')[];
  /** What a row of the first output is, and how many there are. */
  readonly rows: number;
  readonly rowLength: number;
  /** What other programs need to know to do the same. */
  readonly sizes: { readonly [name: string]: number };
  readonly family: 'matmul' | 'project' | 'attention' | 'softmax' | 'layer_norm' | 'conv2d' | 'cross_entropy_grad';
  /** Compares rows with float64 on the same data. `bf16` where whoever computed can only give outputs rounded to that. */
  readonly check: (rows: readonly OutputRow[], output?: 'bf16') => Accuracy;
}
