import { intZeros } from '../../tensor/index.ts';
import type { ReferenceKernel } from '../contract.ts';
import {
  countAttr,
  expectShape,
  input,
  optionalVectorParam,
  outShape,
  param,
  vectorParam,
  wordAttr,
} from './call-reader.ts';
import { firstInOrder } from './descending.ts';
import { addBias, multiplyRow } from './multiply-row.ts';

/**
 * Reads each token through a dictionary and keeps the k first latents in the order of descending.ts, of those that are
 * active: all ('none'), x·W + b > 0 ('relu'), x·W + b > threshold ('threshold': JumpReLU). NaN counts as active, never
 * silently dropped. `count` is the number kept; the rest of a row is value 0 and index −1. One row of F at a time, never
 * T × F. Values bounded as linear; the choice is exact given the values.
 */
export const biasActTopK: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const W = param(call, 0);
  expectShape(call, 'x', x.shape, [null, null]);
  const [tokens = 0, width = 0] = x.shape;
  expectShape(call, 'W', W.shape, [width, null]);
  const latents = W.shape[1] ?? 0;
  const bias = optionalVectorParam(call, 1, latents);
  const kind = wordAttr(call, 'activation', ['none', 'relu', 'threshold']);
  const thresholds = kind === 'threshold' ? vectorParam(call, 2, latents) : null;
  const k = countAttr(call, 'k');
  const values = make(outShape(call, 0, [tokens, k]));
  const indices = intZeros(outShape(call, 1, [tokens, k]));
  const counts = intZeros(outShape(call, 2, [tokens]));
  indices.data.fill(-1);
  const { data: row } = make([latents]);
  const active = (i: number): boolean => kind === 'none' || !(row[i]! <= (thresholds?.[i] ?? 0));
  const all = Array.from({ length: latents }, (_, i) => i);
  for (let token = 0; token < tokens; token++) {
    row.fill(0);
    const places = { xStart: token * width, wStart: 0, wStride: latents, outStart: 0 };
    multiplyRow({ x: x.data, W: W.data, out: row, K: width, N: latents, ...places });
    addBias(row, bias);
    const kept = firstInOrder((i) => row[i]!, all.filter(active), k);
    counts.data[token] = kept.length;
    kept.forEach((index, at) => {
      values.data[token * k + at] = row[index]!;
      indices.data[token * k + at] = index;
    });
  }
  return [values, indices, counts];
};
