import type { KernelSpec, KernelValue } from './contract.ts';

// Kernels whose sums are float64; part of the table in contract.ts. Matrices are [rows, columns], one row an observation.

const f32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f32', shape });
const f64 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f64', shape });
const i32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'i32', shape });
const perhaps = (value: KernelValue): KernelValue => ({ ...value, optional: true });
const number = { type: 'number' } as const;

export const doubleKernels = {
  // Rows in several calls, each with what the last one gave as `before`, have the bits of one call.
  gram: {
    inputs: [f32('x', '[n, p]'), perhaps(f32('y', '[n, q]')), perhaps(f64('before', '[p, q]; of earlier rows'))],
    params: [],
    outputs: [f64('out', '[p, q]; before + xᵀy, or [p, p]; before + xᵀx')],
    attrs: {},
  },
  // For each column of a the k columns of b with the largest Pearson correlation; `first` is the number of the first column
  // of b. Columns in several calls, each with what the last one gave, have the bits of one call.
  correlate_top_k: {
    inputs: [
      f32('a', '[n, p]'),
      f32('b', '[n, q]'),
      perhaps(f32('values', '[p, k]; of other columns')),
      perhaps(i32('indices', '[p, k]; with them')),
    ],
    params: [],
    outputs: [f32('values', '[p, k]'), i32('indices', '[p, k]')],
    attrs: { k: number, absolute: { type: 'boolean' }, first: { ...number, optional: true } },
  },
} as const satisfies { readonly [name: string]: KernelSpec };
