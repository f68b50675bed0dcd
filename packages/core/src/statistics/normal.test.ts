import { describe, expect, test } from 'vitest';
import { normalCdf, normalQuantile } from './normal.ts';
import { exp, log } from './portable-math.ts';

// Φ of the double nearest to x, by 400-digit decimal arithmetic.
const known: readonly (readonly [x: number, cdf: number])[] = [
  [-0.1, 0.460172162722971],
  [0.5, 0.6914624612740131],
  [1, 0.8413447460685429],
  [1.49, 0.9318878820332746],
  [1.51, 0.9344782879110834],
  [2.5, 0.9937903346742238],
  [-1, 0.15865525393145705],
  [-1.6, 0.05479929169955798],
  [-3, 0.0013498980316300946],
  [-5.3, 5.790134039964594e-8],
  [-10, 7.619853024160525e-24],
  [-20.7, 1.7318518790197378e-95],
];

const off = (got: number, expected: number): number => Math.abs(got - expected) / Math.abs(expected);

describe('the normal distribution', () => {
  test('its cumulative share agrees with 400-digit arithmetic in both tails', () => {
    for (const [x, share] of known) expect(off(normalCdf(x), share), String(x)).toBeLessThan(1e-14);
  });

  test('the quantile undoes the cumulative share', () => {
    for (const [x, share] of known.filter(([at]) => at < 1.6))
      expect(off(normalQuantile(share), x), String(x)).toBeLessThan(1e-13);
    for (const p of [1e-300, 1e-100, 1e-20, 1e-6, 0.025, 0.3, 0.499999, 0.7, 0.975])
      expect(off(normalCdf(normalQuantile(p)), p), String(p)).toBeLessThan(2e-13);
    expect(off(normalQuantile(0.975), 1.959963984540054)).toBeLessThan(1e-15);
  });

  test('it is symmetric, monotone and ends where probabilities end', () => {
    expect(normalQuantile(0.5)).toBe(0);
    expect([normalQuantile(0), normalQuantile(1)]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
    expect([normalCdf(-50), normalCdf(50)]).toEqual([0, 1]);
    let last = 0;
    for (let x = -8; x < 6; x += 0.01) {
      const here = normalCdf(x);
      expect(here).toBeGreaterThan(last);
      expect(Math.abs(here + normalCdf(-x) - 1)).toBeLessThan(3e-16);
      last = here;
    }
    expect(() => normalQuantile(1.2)).toThrow(/from 0 to 1/);
    expect(() => normalQuantile(Number.NaN)).toThrow(/from 0 to 1/);
  });
});

describe('exp and log without the runtime', () => {
  test('they stay within two units in the last place of the runtime’s', () => {
    for (let at = -740; at < 709; at += 0.737)
      expect(Math.abs(exp(at) - Math.exp(at)), String(at)).toBeLessThanOrEqual(
        Math.max(4.5e-16 * Math.exp(at), 5e-324),
      );
    for (let at = -320; at < 308; at += 0.613) {
      const x = 10 ** at;
      expect(Math.abs(log(x) - Math.log(x)), String(x)).toBeLessThanOrEqual(4.5e-16 * Math.abs(Math.log(x)));
    }
  });

  test('they keep the limits', () => {
    expect([
      exp(0),
      exp(-800),
      exp(800),
      log(1),
      log(0),
      log(-1),
      log(Number.POSITIVE_INFINITY),
      exp(Number.NaN),
    ]).toEqual([
      1,
      0,
      Number.POSITIVE_INFINITY,
      0,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
  });
});
