import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, countAttr, expectShape, input, outShape } from './call-reader.ts';

/**
 * What each head of a reader sees when some of its writers are replaced: x + Σ_u mask[r, h, u] · delta_u, u ascending, each
 * step fused, delta_u = new − old output of writer u. A mask of exactly 0 leaves the sum untouched, so an edge that
 * is not cut gives the bits of x even where delta is NaN. heads = 0: a reader without heads, out [R, P, m]. Exact.
 *
 * x and each delta may have fewer rows than the mask, where variants share them: row r reads row r % rows. Without writers
 * the mask is left out and the stream is only spread over the heads.
 */
export const edgeRead: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null]);
  const [own = 0, pos = 0, width = 0] = x.shape;
  const heads = countAttr(call, 'heads');
  const copies = Math.max(1, heads);
  const writers = Math.max(0, call.inputs.length - 2);
  const deltas = Array.from({ length: writers }, (_, u) => input(call, u + 1));
  const mask = writers === 0 ? null : input(call, writers + 1);
  const rows = mask?.shape[0] ?? own;
  if (mask) expectShape(call, 'mask', mask.shape, [rows, copies, writers]);
  for (const [u, { shape }] of [x, ...deltas].entries()) {
    expectShape(call, u === 0 ? 'x' : `delta ${u - 1}`, shape, [null, pos, width]);
    if (rows % (shape[0] || 1) !== 0) throw badShape(call, u === 0 ? 'x' : `delta ${u - 1}`, [rows, pos, width], shape);
  }
  const out = make(outShape(call, 0, heads === 0 ? [rows, pos, width] : [rows, pos, heads, width]));
  const { fma } = arithmeticOf(out.data);
  for (let token = 0; token < rows * pos; token++) {
    const row = Math.floor(token / pos);
    for (let copy = 0; copy < copies; copy++) {
      const to = (token * copies + copy) * width;
      const from = (token % (own * pos)) * width;
      for (let i = 0; i < width; i++) out.data[to + i] = x.data[from + i]!;
      deltas.forEach((delta, u) => {
        const factor = mask!.data[(row * copies + copy) * writers + u]!;
        if (factor === 0) return;
        const start = (token * width) % delta.data.length;
        for (let i = 0; i < width; i++) out.data[to + i] = fma(factor, delta.data[start + i]!, out.data[to + i]!);
      });
    }
  }
  return [out];
};
