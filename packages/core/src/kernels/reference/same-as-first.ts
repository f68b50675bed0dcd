import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall } from '../contract.ts';
import { expectShape, input } from './call-reader.ts';

/** Reads an input that must have the shape of input 0. */
export function sameAsFirst(call: KernelCall, index: number): Tensor {
  const value = input(call, index);
  expectShape(call, `input ${index}`, value.shape, input(call, 0).shape);
  return value;
}
