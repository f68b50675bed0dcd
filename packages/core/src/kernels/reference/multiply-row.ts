import type { Floats } from '../../tensor/index.ts';

export interface MatrixProduct {
  readonly x: Floats;
  readonly xStart: number;
  readonly W: Floats;
  readonly wStart: number;
  /** Elements from one row of W to the next; larger than N where only a block of columns is used. */
  readonly wStride: number;
  readonly out: Floats;
  readonly outStart: number;
  readonly K: number;
  readonly N: number;
}

/**
 * out[N] += x[K] · W[K, N] for one row. Each output is one chain over k ascending; storing to Float32Array rounds every
 * link, so in f32 this is the chain of fused multiply-adds that native code runs, up to a double rounding in one of
 * about 2^29 links. Zeros are not skipped: 0·NaN is NaN.
 */
export function multiplyRow({ x, xStart, W, wStart, wStride, out, outStart, K, N }: MatrixProduct): void {
  for (let k = 0; k < K; k++) {
    const factor = x[xStart + k]!;
    const row = wStart + k * wStride;
    for (let n = 0; n < N; n++) out[outStart + n] = out[outStart + n]! + factor * W[row + n]!;
  }
}

/** Adds a bias to every row of `out`, after the chain. */
export function addBias(out: Floats, bias: Floats | null): void {
  if (!bias) return;
  const width = bias.length;
  for (let start = 0; start < out.length; start += width) {
    for (let n = 0; n < width; n++) out[start + n] = out[start + n]! + bias[n]!;
  }
}

/** [K, N] to [N, K]. */
export function transpose(W: Floats, K: number, N: number): Floats {
  const out = W.slice();
  for (let k = 0; k < K; k++) for (let n = 0; n < N; n++) out[n * K + k] = W[k * N + n]!;
  return out;
}
