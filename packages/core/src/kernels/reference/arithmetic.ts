import type { Floats } from '../../tensor/index.ts';

/** Rounding to the precision of a run, and a product that is added with one rounding. */
export interface Arithmetic {
  readonly round: (value: number) => number;
  /** a·b + c. In f32 exactly rounded once, as the hardware's instruction; in f64 two roundings (the oracle's u is 2^-53). */
  readonly fma: (a: number, b: number, c: number) => number;
}

/**
 * Which arithmetic a kernel computes in, by the array it writes to. One of +, −, ×, ÷, √ on float32 numbers, computed in
 * double and rounded by `fround`, is correctly rounded (53 ≥ 2·24 + 2 bits); only the fused product needs care.
 */
export function arithmeticOf(data: Floats): Arithmetic {
  return data instanceof Float32Array ? single : double;
}

const single: Arithmetic = { round: Math.fround, fma: fmaSingle };
const double: Arithmetic = { round: (value) => value, fma: (a, b, c) => a * b + c };

const bits = new BigInt64Array(1);
const value = new Float64Array(bits.buffer);

/**
 * The product of two float32 numbers is exact in double; the sum with c is rounded to odd before `fround` rounds it to
 * float32, which makes the two roundings equal one (Boldo, Melquiond 2008, "Emulation of a FMA and correctly rounded
 * sums"). Only about one sum in 2^29 needs it.
 */
function fmaSingle(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const rounded = Math.fround(sum);
  // A second rounding can only go wrong where the double lies halfway between `rounded` and another float32 number.
  const opposite = sum + (sum - rounded);
  if (sum === rounded || Math.fround(opposite) !== opposite) return rounded;
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  if (!(error > 0 || error < 0)) return rounded;
  value[0] = sum;
  const pattern = bits[0] as bigint;
  if (pattern % 2n === 0n) bits[0] = error > 0 === sum > 0 ? pattern + 1n : pattern - 1n;
  return Math.fround(value[0] as number);
}
