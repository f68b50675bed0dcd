import type { IntTensor, Tensor } from '../../tensor/index.ts';
import type { KernelCall } from '../contract.ts';
import { badShape, expectShape, sizesAttr } from './call-reader.ts';

/** A value seen as [R, n1, n2, n3], where the attribute `dims` gives the inner sizes. */
export interface InnerSizes {
  readonly rows: number;
  readonly n1: number;
  readonly n2: number;
  readonly n3: number;
}

export function innerSizes(call: KernelCall, x: Tensor): InnerSizes {
  const [n1, n2, n3] = sizesAttr(call, 'dims');
  const rows = x.shape[0] ?? 0;
  if (rows * n1 * n2 * n3 !== x.data.length) throw badShape(call, 'x', [rows, n1, n2, n3], x.shape);
  return { rows, n1, n2, n3 };
}

/** mask [R, n] as a question; a mask that is left out holds everywhere. */
export function maskTest(
  call: KernelCall,
  name: string,
  mask: IntTensor | null,
  rows: number,
  n: number,
): (row: number, at: number) => boolean {
  if (!mask) return () => true;
  expectShape(call, name, mask.shape, [rows, n]);
  return (row, at) => mask.data[row * n + at] !== 0;
}

/** coef [R]; 1 where it is left out. */
export function coefficients(call: KernelCall, coef: Tensor | null, rows: number): (row: number) => number {
  if (!coef) return () => 1;
  expectShape(call, 'coef', coef.shape, [rows]);
  return (row) => coef.data[row]!;
}
