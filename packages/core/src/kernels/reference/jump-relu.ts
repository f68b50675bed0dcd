import type { ReferenceKernel } from '../contract.ts';
import { input, outShape, rowsAndWidth, vectorParam } from './call-reader.ts';

/** x where x > threshold, else 0; NaN stays. Exact. Source: Rajamanoharan et al. 2024, Jumping Ahead. */
export const jumpRelu: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const { width } = rowsAndWidth(x.shape);
  const threshold = vectorParam(call, 0, width);
  const out = make(outShape(call, 0, x.shape));
  for (let i = 0; i < out.data.length; i++) {
    const value = x.data[i]!;
    out.data[i] = value > threshold[i % width]! || Number.isNaN(value) ? value : 0;
  }
  return [out];
};
