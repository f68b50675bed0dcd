import { zeros } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import { expectShape, input, optionalInput, outShape } from './call-reader.ts';

/**
 * out[i, j] = before[i, j] + Σ_row x[row, i]·y[row, j], y = x where it is left out: one float64 chain over the rows ascending.
 * The product of two float32 numbers is exact in float64, so these are the bits of fused steps. xᵀx is computed above the
 * diagonal, where `before` is read, and mirrored. In float64 whatever the precision of the run.
 */
export const gram: ReferenceKernel = (call) => {
  const x = input(call, 0);
  const other = optionalInput(call, 1);
  const y = other ?? x;
  expectShape(call, 'x', x.shape, [null, null]);
  const [n = 0, p = 0] = x.shape;
  expectShape(call, 'y', y.shape, [n, null]);
  const q = y.shape[1] ?? 0;
  const before = optionalInput(call, 2);
  if (before) expectShape(call, 'before', before.shape, [p, q]);
  const out = zeros(outShape(call, 0, [p, q]), 'f64');
  for (let i = 0; i < p; i++) {
    for (let j = other ? 0 : i; j < q; j++) {
      let sum = before?.data[i * q + j] ?? 0;
      for (let row = 0; row < n; row++) sum += x.data[row * p + i]! * y.data[row * q + j]!;
      out.data[i * q + j] = sum;
      if (!other) out.data[j * q + i] = sum;
    }
  }
  return [out];
};
