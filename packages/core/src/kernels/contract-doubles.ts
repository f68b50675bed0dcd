import type { KernelSpec, KernelValue } from './contract.ts';

// Kernels whose sums are float64; part of the table in contract.ts. Matrices are [rows, columns], one row an observation.

const f32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f32', shape });
const f64 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f64', shape });
const i32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'i32', shape });
const perhaps = (value: KernelValue): KernelValue => ({ ...value, optional: true });
const number = { type: 'number' } as const;

const matrix = { name: 'W', role: 'matrix', shape: '[d, F]' } as const;
const vector = (name: string) => ({ name, role: 'vector', shape: '[F]', optional: true }) as const;

export const doubleKernels = {
  // Tokens in several calls, each with what the last one gave as `before`, have the sums of one call to the bit.
  latent_statistics: {
    inputs: [
      f32('x', '[…, d]'),
      i32('counted', '[…]; 0 where a token does not count'),
      perhaps(f64('before', '[F, 2]; sums of earlier tokens')),
    ],
    params: [matrix, vector('b'), vector('thresholds')],
    outputs: [
      f64('sums', '[F, 2]; of the active values, and of their squares'),
      i32('counts', '[F, 26]; how often it is active, then its histogram by powers of two'),
      f32('values', '[F, examples]; the first of them'),
      i32('rows', '[F, examples]; their tokens'),
    ],
    attrs: { activation: { type: ['none', 'relu', 'threshold'] }, examples: number },
  },
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
  // r = min(n, p). In each column of u the largest entry is positive; where s is 0 it is 0 or any vector.
  svd: {
    inputs: [f64('a', '[n, p]')],
    params: [],
    outputs: [f64('u', '[n, r]'), f64('s', '[r]; largest first'), f64('v', '[p, r]; a = u s vᵀ')],
    attrs: {},
  },
  symmetric_eigen: {
    inputs: [f64('a', '[n, n]; what is above the diagonal is not read')],
    params: [],
    outputs: [
      f64('values', '[n]; largest first'),
      f64('vectors', '[n, n]; columns, in each the largest entry positive'),
    ],
    attrs: {},
  },
  qr: {
    inputs: [f64('a', '[n, p]')],
    params: [],
    outputs: [f64('q', '[n, min(n, p)]'), f64('r', '[min(n, p), p]; its diagonal not negative')],
    attrs: {},
  },
  eigenvalues: {
    inputs: [f64('a', '[n, n]')],
    params: [],
    outputs: [f64('re', '[n]; largest first, im where they agree'), f64('im', '[n]')],
    attrs: {},
  },
  // Each row gets a column of its own so that the sum of costs is least; with more rows than columns some get −1.
  assign: {
    inputs: [f64('costs', '[n, m]')],
    params: [],
    outputs: [i32('columns', '[n]'), f64('cost', '[1]')],
    attrs: {},
  },
} as const satisfies { readonly [name: string]: KernelSpec };
