import { expect, test } from 'vitest';
import { crossings, orderRows, type Segment } from './order-rows.ts';

const segment = (row: number, lower: number, upper: number, upperPort = 0): Segment => ({
  row,
  lower,
  upper,
  upperPort,
  weight: 1,
});

/** Pairs compared one by one: the definition. */
function slowCrossings(segments: readonly Segment[], lower: readonly number[], upper: readonly number[]): number {
  let count = 0;
  for (const a of segments) {
    for (const b of segments) {
      const low = lower.indexOf(a.lower) - lower.indexOf(b.lower);
      const high = upper.indexOf(a.upper) + a.upperPort - upper.indexOf(b.upper) - b.upperPort;
      if (low < 0 && high > 0) count += a.weight * b.weight;
    }
  }
  return count;
}

test('two edges that change sides cross once', () => {
  expect(crossings([segment(0, 0, 3), segment(0, 1, 2)], [0, 1], [2, 3])).toBe(1);
});

test('edges from one point, or into one point, do not cross', () => {
  expect(crossings([segment(0, 0, 3), segment(0, 0, 2), segment(0, 1, 3)], [0, 1], [2, 3])).toBe(0);
});

test('edges into the ports of one node cross by their ports', () => {
  expect(crossings([segment(0, 0, 2, 0.3), segment(0, 1, 2, -0.3)], [0, 1], [2])).toBe(1);
});

test('the count agrees with comparing all pairs', () => {
  const lower = [0, 1, 2, 3, 4];
  const upper = [5, 6, 7, 8];
  const segments = lower.flatMap((a) => upper.filter((b) => (a * 7 + b * 3) % 4 !== 0).map((b) => segment(0, a, b)));
  expect(crossings(segments, lower, upper)).toBe(slowCrossings(segments, lower, upper));
});

test('a crossing that can be undone is undone', () => {
  const segments = [segment(0, 0, 3), segment(0, 1, 2)];
  const rows = orderRows(
    [
      [0, 1],
      [2, 3],
    ],
    segments,
  );
  expect(crossings(segments, rows[0]!, rows[1]!)).toBe(0);
});

test('ordering never adds crossings and loses no item', () => {
  const rows = [
    [0, 1, 2],
    [3, 4, 5, 6],
    [7, 8, 9],
  ];
  const segments = [
    ...[segment(0, 0, 6), segment(0, 0, 4), segment(0, 1, 3), segment(0, 2, 3), segment(0, 2, 5)],
    ...[segment(1, 3, 9), segment(1, 4, 7), segment(1, 5, 7), segment(1, 6, 8), segment(1, 3, 8)],
  ];
  const count = (order: readonly (readonly number[])[]) =>
    [0, 1].reduce(
      (sum, row) =>
        sum +
        crossings(
          segments.filter((s) => s.row === row),
          order[row]!,
          order[row + 1]!,
        ),
      0,
    );
  const ordered = orderRows(rows, segments);
  expect(count(ordered)).toBeLessThanOrEqual(count(rows));
  expect(ordered.map((row) => [...row].sort((a, b) => a - b))).toEqual(rows);
});
