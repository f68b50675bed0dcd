import type { Floats } from '../tensor/index.ts';
import type { FinalRead } from './final-read.ts';

/**
 * A part of the stream as the last norm passes it on, with the scale of the whole stream: (x − mean)/scale, or x/scale for
 * an RMS norm. Gain and shift are not applied: they belong to what reads. Without a norm x stays.
 * @param x rows [row, width]. @param scale one divisor per row; where it is left out each row's own, as for a logit lens
 */
export function throughFinalNorm(x: Floats, { norm, width }: FinalRead, scale?: Floats): Floats {
  if (!norm) return x;
  const out = x instanceof Float64Array ? new Float64Array(x.length) : new Float32Array(x.length);
  for (let row = 0; row < x.length / width; row++) {
    const from = row * width;
    let sum = 0;
    for (let i = 0; i < width; i++) sum += x[from + i]!;
    const mean = norm.kind === 'layer' ? sum / width : 0;
    let divisor = scale?.[row];
    if (divisor === undefined) {
      let squares = 0;
      for (let i = 0; i < width; i++) squares += (x[from + i]! - mean) ** 2;
      divisor = Math.sqrt(squares / width + norm.eps);
    }
    for (let i = 0; i < width; i++) out[from + i] = (x[from + i]! - mean) / divisor;
  }
  return out;
}
