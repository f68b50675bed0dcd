import { describe, expect, test } from 'vitest';
import { plain } from '../../output/index.ts';
import { plot, sparkline } from './curves.ts';
import { trainingCurves } from './training-curves.ts';

describe('a sparkline', () => {
  test('has the lowest block at the lowest value and the highest at the highest', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8)).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([2, -1], 8)).toBe('█▁');
    expect(sparkline([], 8)).toBe('');
  });

  test('is flat in the middle for equal values, and never longer than asked', () => {
    expect(sparkline([3, 3, 3], 8)).toBe('▅▅▅');
    expect(sparkline([0, 2, 10, 12, 4, 8], 3)).toBe('▁█▅');
  });
});

describe('a plot', () => {
  test('of a falling line goes from the top left to the bottom right', () => {
    expect(plot([3, 2, 1, 0], 2, 1)).toEqual({ rows: ['⠑⢄'], low: 0, high: 3 });
  });

  test('joins neighbours that lie apart', () => {
    expect(plot([1, 0], 1, 2).rows).toEqual(['⢱', '⢸']);
  });

  test('has the size that was asked for, whatever the number of values', () => {
    for (const count of [1, 5, 1000]) {
      const { rows } = plot(
        Array.from({ length: count }, (_, i) => Math.sin(i / 50)),
        20,
        4,
      );
      expect(rows.map((row) => row.length)).toEqual([20, 20, 20, 20]);
    }
  });
});

describe('the curves of a training', () => {
  const lines = Array.from({ length: 50 }, (_, step) => ({
    step,
    loss: 10 ** (-step / 10),
    ...(step % 10 === 0 ? { metrics: { accuracy: step / 40, other: 1 } } : {}),
  }));

  test('show a loss that spans powers of ten by its logarithm, and each measurement as it is now', () => {
    const rows = trainingCurves(lines, 60, plain);
    expect(rows).toHaveLength(7);
    expect(rows[0]).toMatch(/^loss +1\.00 {2}⠉⠒/);
    expect(rows[1]).toMatch(/^log/);
    expect(rows[4]).toContain('1.26e-5');
    expect(rows[5]).toMatch(/^accuracy +1\.000 {2}▁▃▅▇█$/);
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(60);
  });

  test('are nothing before the first line', () => {
    expect(trainingCurves([], 60, plain)).toEqual([]);
  });
});
