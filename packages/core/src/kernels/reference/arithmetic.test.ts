import fc from 'fast-check';
import { expect, test } from 'vitest';
import { random } from '../conformance/build-case.ts';
import { arithmeticOf } from './arithmetic.ts';
import { treeDot, treeSum } from './fixed-tree.ts';
import { runReference } from './index.ts';

const { fma, round } = arithmeticOf(new Float32Array());

test('the fused product is rounded once, checked in exact integers', () => {
  const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e15), max: Math.fround(1e15) });
  fc.assert(
    fc.property(float, float, float, (a, b, c) => {
      // −0 and 0 are one integer.
      expect(fma(a, b, c) + 0).toBe(exactFma(a, b, c));
    }),
    { numRuns: 2000 },
  );
});

test('the fused product is right where rounding twice is not', () => {
  // 1 + 2^-24 is halfway between two float32 numbers; 2^-60 above or below it decides, and double cannot hold it.
  const half = 2 ** -24;
  expect(fma(1 + 2 ** -12, 2 ** -60, 1)).toBe(1);
  for (const sign of [1, -1]) {
    const [a, b, c] = [half * (1 + sign * 2 ** -23) * 2 ** 10, 2 ** -10 * (1 + 2 ** -23), 1];
    expect(fma(a, b, c)).toBe(exactFma(a, b, c));
  }
  // (2^-12 − 2^-36)(2^-12 + 2^-36) = 2^-24 − 2^-72: just below the tie of 1 + 2^-23·(odd).
  const below = fma(2 ** -12 - 2 ** -36, 2 ** -12 + 2 ** -36, 1 + 2 ** -23);
  expect(below).toBe(1 + 2 ** -23);
  expect(Math.fround((2 ** -12 - 2 ** -36) * (2 ** -12 + 2 ** -36) + 1 + 2 ** -23)).not.toBe(below);
});

test('the fused product keeps NaN, infinities and the sign of zero', () => {
  expect(fma(0, Number.POSITIVE_INFINITY, 1)).toBeNaN();
  expect(fma(2, 3, Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  expect(fma(2 ** 127, 4, 0)).toBe(Number.POSITIVE_INFINITY);
  expect(fma(-0, 1, -0)).toBe(-0);
  expect(fma(2 ** -100, 2 ** -49, 0)).toBe(2 ** -149);
});

test('the tree adds 32 lanes, then halves', () => {
  const x = random('tree', [100]).data;
  const lanes = Array.from({ length: 32 }, (_, lane) => {
    let total = 0;
    for (let i = lane; i < 100; i += 32) total = round(total + x[i]!);
    return total;
  });
  const fold = (values: readonly number[]): number => {
    const half = values.length / 2;
    return half < 1 ? values[0]! : fold(values.slice(0, half).map((value, i) => round(value + values[i + half]!)));
  };
  expect(treeSum(x, 0, 100, { round, fma })).toBe(fold(lanes));
  const dot = treeDot({ data: x, start: 3 }, { data: x, start: 10 }, 80, arithmeticOf(new Float64Array()));
  expect(dot).toBeCloseTo(
    Array.from({ length: 80 }, (_, i) => x[3 + i]! * x[10 + i]!).reduce((a, b) => a + b, 0),
    12,
  );
});

test('linear in f32 is the chain of fused products', () => {
  const [x, W] = [random('chain/x', [5, 65]), random('chain/W', [65, 33])];
  const call = { kernel: 'linear', inputs: [x], params: [W], attrs: {}, outShapes: [[5, 33]], wanted: [true] } as const;
  const chain = (row: number, column: number): number => {
    let total = 0;
    for (let k = 0; k < 65; k++) total = fma(x.data[row * 65 + k]!, W.data[k * 33 + column]!, total);
    return total;
  };
  const chains = Array.from({ length: 5 * 33 }, (_, i) => chain(Math.floor(i / 33), i % 33));
  expect(Array.from(runReference(call)[0]?.data ?? [])).toEqual(chains);
});

/** a·b + c in units of 2^-298, rounded to 24 bits and to multiples of 2^-149, ties to even. */
function exactFma(a: number, b: number, c: number): number {
  const exact = units(a) * units(b) + (units(c) << 149n);
  const sign = exact < 0n ? -1 : 1;
  const size = exact < 0n ? -exact : exact;
  const bits = size.toString(2).length;
  const drop = BigInt(Math.max(bits - 24, 149));
  const kept = size >> drop;
  const rest = size - (kept << drop);
  const half = 1n << (drop - 1n);
  const up = rest > half || (rest === half && kept % 2n === 1n);
  // The kept bits and the power of two are exact doubles.
  return sign * Number(up ? kept + 1n : kept) * 2 ** (Number(drop) - 298) + 0;
}

/** A float32 in units of 2^-149; the product is exact in double. */
function units(value: number): bigint {
  return BigInt(value * 2 ** 149);
}
