import type { Floats } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { expectShape, input, optionalVectorParam, param, rowsAndWidth, vectorParam, wordAttr } from './call-reader.ts';
import { addBias, multiplyRow } from './multiply-row.ts';

export interface LatentRows {
  /** The sizes of x before its width; `tokens` is their product. */
  readonly leading: readonly number[];
  readonly tokens: number;
  /** The latents of a token, and those of them that are active, ascending. The next call writes over both. */
  readonly rows: (token: number) => { readonly row: Floats; readonly active: readonly number[] };
}

/**
 * x·W + b, one token at a time. Active are: all ('none'), those above 0 ('relu'), those above their threshold that are not 0
 * ('threshold': JumpReLU). NaN counts as active, never silently dropped.
 */
export function latentRows(call: KernelCall, make: Parameters<ReferenceKernel>[1]): LatentRows {
  const x = input(call, 0);
  const W = param(call, 0);
  const { rows: tokens, width } = rowsAndWidth(x.shape);
  expectShape(call, 'W', W.shape, [width, null]);
  const latents = W.shape[1] ?? 0;
  const bias = optionalVectorParam(call, 1, latents);
  const kind = wordAttr(call, 'activation', ['none', 'relu', 'threshold']);
  const thresholds = kind === 'threshold' ? vectorParam(call, 2, latents) : null;
  const { data: row } = make([latents]);
  const all = Array.from({ length: latents }, (_, i) => i);
  const isActive = (i: number): boolean => kind === 'none' || !(row[i]! <= (thresholds?.[i] ?? 0) || row[i] === 0);
  return {
    leading: x.shape.slice(0, -1),
    tokens,
    rows: (token) => {
      row.fill(0);
      const places = { xStart: token * width, wStart: 0, wStride: latents, outStart: 0 };
      multiplyRow({ x: x.data, W: W.data, out: row, K: width, N: latents, ...places });
      addBias(row, bias);
      return { row, active: all.filter(isActive) };
    },
  };
}

/** The same of latents that are there: active are those that are not 0. */
export function givenRows(call: KernelCall): LatentRows {
  const x = input(call, 0);
  const { rows: tokens, width } = rowsAndWidth(x.shape);
  const all = Array.from({ length: width }, (_, i) => i);
  return {
    leading: x.shape.slice(0, -1),
    tokens,
    rows: (token) => {
      const row = x.data.subarray(token * width, (token + 1) * width);
      return { row, active: all.filter((i) => row[i] !== 0) };
    },
  };
}
