import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { countAttr, expectShape, input, outOfRange, outShape } from './call-reader.ts';

/**
 * The way back through edge_read. Without `delta` the cotangent of x: Σ_h ct[r, p, h], heads ascending. With it that of
 * one writer: Σ_h mask[r, h, delta]·ct[r, p, h], each step fused; where the mask is 0 nothing is read. Exact.
 */
export const edgeReadGrad: ReferenceKernel = (call, make) => {
  const ct = input(call, 0);
  const heads = countAttr(call, 'heads');
  expectShape(call, 'ct', ct.shape, heads === 0 ? [null, null, null] : [null, null, heads, null]);
  const [rows = 0, pos = 0] = ct.shape;
  const width = ct.shape.at(-1) ?? 0;
  const copies = Math.max(1, heads);
  const delta = call.attrs.delta === undefined ? null : countAttr(call, 'delta');
  const mask = delta === null ? null : input(call, 1);
  if (mask) expectShape(call, 'mask', mask.shape, [rows, copies, null]);
  const writers = mask?.shape[2] ?? 0;
  if (delta !== null && delta >= writers) throw outOfRange(call, 'delta', delta, writers);
  const out = make(outShape(call, 0, [rows, pos, width]));
  const { fma } = arithmeticOf(out.data);
  for (let token = 0; token < rows * pos; token++) {
    for (let copy = 0; copy < copies; copy++) {
      const row = Math.floor(token / pos);
      const factor = mask ? mask.data[(row * copies + copy) * writers + (delta ?? 0)]! : 1;
      if (factor === 0) continue;
      for (let i = 0; i < width; i++) {
        const to = token * width + i;
        out.data[to] = fma(factor, ct.data[(token * copies + copy) * width + i]!, out.data[to]!);
      }
    }
  }
  return [out];
};
