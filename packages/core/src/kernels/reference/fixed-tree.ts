import type { Floats } from '../../tensor/index.ts';
import type { Arithmetic } from './arithmetic.ts';

// Sums and dots that must not depend on the width of a vector unit go through 32 virtual lanes: lane i takes the elements
// i, i + 32, … one after the other, then lanes are added pairwise at distances 16, 8, 4, 2, 1. Every instruction set can
// do exactly this, so all of them give the same bits. Error: (⌈n/32⌉ + 5)·u·Σ|terms| (Higham 2002, §4.2).

const laneCount = 32;

/** The sum of `length` elements from `start`. */
export function treeSum(data: Floats, start: number, length: number, { round }: Arithmetic): number {
  const lanes = new Float64Array(laneCount);
  for (let i = 0; i < length; i++) {
    const lane = i % laneCount;
    lanes[lane] = round(lanes[lane]! + data[start + i]!);
  }
  return addLanes(lanes, round);
}

/** Σ a[i]·b[i], each lane a chain of fused multiply-adds. */
export function treeDot(
  a: { readonly data: Floats; readonly start: number },
  b: { readonly data: Floats; readonly start: number },
  length: number,
  { round, fma }: Arithmetic,
): number {
  const lanes = new Float64Array(laneCount);
  for (let i = 0; i < length; i++) {
    const lane = i % laneCount;
    lanes[lane] = fma(a.data[a.start + i]!, b.data[b.start + i]!, lanes[lane]!);
  }
  return addLanes(lanes, round);
}

function addLanes(lanes: Float64Array, round: (value: number) => number): number {
  for (let half = laneCount / 2; half >= 1; half /= 2) {
    for (let lane = 0; lane < half; lane++) lanes[lane] = round(lanes[lane]! + lanes[lane + half]!);
  }
  return lanes[0]!;
}
