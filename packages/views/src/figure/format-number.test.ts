import { expect, test } from 'vitest';
import { formatInterval, formatNumber } from './format-number.ts';

test.each([
  [0, '0'],
  [-0, '0'],
  [4, '4'],
  [-1, '−1'],
  [8.1777, '8.18'],
  [0.35355, '0.354'],
  [0.0123, '0.0123'],
  [0.5, '0.5'],
  [123.456, '123.5'],
  [1.9e-22, '1.90e-22'],
  [32491, '3.25e+4'],
  [Number.NEGATIVE_INFINITY, '−∞'],
  [Number.NaN, 'not a number'],
])('%f reads %s', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

test('an interval has both ends', () => {
  expect(formatInterval([-0.5, 2])).toBe('[−0.5, 2]');
});
