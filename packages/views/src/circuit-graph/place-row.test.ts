import { expect, test } from 'vitest';
import { placeRow } from './place-row.ts';

test('items far apart stand where they wish', () => {
  expect(
    placeRow(
      [
        { wish: 0, weight: 1, width: 10 },
        { wish: 100, weight: 1, width: 10 },
      ],
      5,
    ),
  ).toEqual([0, 100]);
});

test('two that wish the same place share the distance', () => {
  expect(
    placeRow(
      [
        { wish: 0, weight: 1, width: 10 },
        { wish: 0, weight: 1, width: 10 },
      ],
      10,
    ),
  ).toEqual([-10, 10]);
});

test('the heavier moves less', () => {
  const [light, heavy] = placeRow(
    [
      { wish: 0, weight: 1, width: 10 },
      { wish: 0, weight: 3, width: 10 },
    ],
    10,
  );
  expect(light).toBeCloseTo(-15);
  expect(heavy).toBeCloseTo(5);
});

test('no distance is ever smaller than asked for', () => {
  const items = [5, -3, 9, 9, 0, 42, -7].map((wish, i) => ({ wish, weight: 1 + (i % 3), width: 4 + i }));
  const placed = placeRow(items, 2);
  for (let i = 1; i < placed.length; i++) {
    expect(placed[i]! - placed[i - 1]!).toBeGreaterThanOrEqual((items[i]!.width + items[i - 1]!.width) / 2 + 2 - 1e-9);
  }
});

test('no item, no place', () => {
  expect(placeRow([], 5)).toEqual([]);
});
