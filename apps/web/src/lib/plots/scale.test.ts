import { describe, expect, it } from 'vitest';
import { axisFor, place } from './scale.ts';

describe('an axis', () => {
  it('ends at the outermost values and has round numbers inside', () => {
    expect(axisFor([0, 1])).toEqual({ low: 0, high: 1, ticks: [0, 0.5, 1] });
    expect(axisFor([-0.13, 1.02])).toEqual({ low: -0.13, high: 1.02, ticks: [0, 0.5, 1] });
    expect(axisFor([0.1, 0.3]).ticks).toEqual([0.1, 0.15, 0.2, 0.25, 0.3]);
  });

  it('has a width even if all values are one, or none is there', () => {
    for (const values of [[], [0], [3, 3], [-2], [Number.NaN]]) {
      const { low, high } = axisFor(values);
      expect(high).toBeGreaterThan(low);
    }
  });
});

describe('a place on it', () => {
  const axis = axisFor([0, 1]);

  it('runs from margin to margin', () => {
    expect([0, 0.5, 1].map((value) => place(axis, value, 4))).toEqual([4, 50, 96]);
  });

  it('never leaves the figure', () => {
    expect([-9, 9].map((value) => place(axis, value, 4))).toEqual([4, 96]);
  });
});
