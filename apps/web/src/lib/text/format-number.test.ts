import { describe, expect, it } from 'vitest';
import { formatChange, formatDuration, formatInstant, formatNumber, formatP, formatSize } from './format-number.ts';

describe('numbers as printed', () => {
  it('have three significant digits and a true minus', () => {
    const printed = [0, 1, -1, 0.35355, -0.5, 0.0123, 0.0004, 12.345, 123.45, 123456, 1 / 3].map(formatNumber);
    expect(printed).toEqual(['0', '1', '−1', '0.354', '−0.5', '0.012', '4.0e−4', '12.3', '123.5', '1.2e5', '0.333']);
  });

  it('never print a negative zero', () => {
    expect(formatNumber(-0)).toBe('0');
  });

  it('carry a sign where they are a change', () => {
    expect([1, -1, 0].map(formatChange)).toEqual(['+1', '−1', '0']);
  });

  it('say what is no number', () => {
    expect([Number.NaN, Infinity, -Infinity].map(formatNumber)).toEqual(['not a number', '∞', '−∞']);
  });
});

it('a p value is never printed as 0', () => {
  expect([0, 0.0002, 0.005, 1].map(formatP)).toEqual(['< 0.001', '< 0.001', '= 0.005', '= 1']);
});

it('an instant is printed in UTC wherever it is read', () => {
  expect(formatInstant('2026-01-31T12:05:00.000Z')).toBe('31 Jan 2026, 12:05 UTC');
  expect(formatInstant('not a date')).toBe('not a date');
});

it('sizes and durations are short', () => {
  expect([999, 98304, 124439808, 7e9].map(formatSize)).toEqual(['999', '98.3k', '124M', '7B']);
  expect([12, 1234, 61_000].map(formatDuration)).toEqual(['12 ms', '1.2 s', '1 min 1 s']);
});
