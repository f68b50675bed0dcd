import type { ReferenceKernel } from '../contract.ts';
import { badShape, expectShape, input, intInput, outOfRange, outShape, param } from './call-reader.ts';

/** out[r, h, i, j] = x[r, h, i, j] + table[buckets[i, j], h]; −∞ stays. Exact. Raffel et al., T5, 2020. */
export const addBias: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const buckets = intInput(call, 1);
  const table = param(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, heads = 0, pos = 0, keys = 0] = x.shape;
  expectShape(call, 'buckets', buckets.shape, [pos, keys]);
  if (table.data.length % Math.max(heads, 1) !== 0) throw badShape(call, 'table', [null, heads], table.shape);
  const count = table.data.length / Math.max(heads, 1);
  for (const bucket of buckets.data)
    if (bucket < 0 || bucket >= count) throw outOfRange(call, 'buckets', bucket, count);
  const out = make(outShape(call, 0, [rows, heads, pos, keys]));
  const square = pos * keys;
  for (let at = 0; at < out.data.length; at++) {
    const head = Math.floor(at / square) % heads;
    const value = x.data[at]!;
    const added = table.data[buckets.data[at % square]! * heads + head]!;
    out.data[at] = value === Number.NEGATIVE_INFINITY ? value : value + added;
  }
  return [out];
};
