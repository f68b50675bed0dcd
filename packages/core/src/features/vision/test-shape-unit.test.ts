import { expect, test } from 'vitest';
import { Rng } from '../../tensor/index.ts';
import { type ShapeUnitData, testShapeUnit } from './test-shape-unit.ts';

const rng = new Rng(11, 'shape-unit');
const around = (mean: number, count = 40): number[] => Array.from({ length: count }, () => mean + rng.normal());
const tuned = Array.from({ length: 36 }, (_, at) => Math.max(0, Math.cos((2 * Math.PI * at) / 36)));

const curve = (): ShapeUnitData => ({
  positives: around(10),
  nearMisses: { straight: around(5), corner: around(6), noise: around(0) },
  tuning: tuned,
  rounding: Array.from({ length: 5 }, () => [1, 2, 3, 4]),
});

test('a unit that does all that was predicted holds, and each prediction says against what', () => {
  const found = testShapeUnit(curve());
  expect(found.holds).toBe(true);
  expect(found.verdicts.map(({ claim, against }) => `${claim}: ${against}`)).toEqual([
    'selective: corner',
    'selective: noise',
    'selective: straight',
    'one lobe: the tuning curve',
    'tuned: the tuning curve',
    'no echo: the tuning curve',
    'rises with rounding: corners',
  ]);
});

test('one near-miss that is not told apart is enough to fail', () => {
  const data = curve();
  const found = testShapeUnit({ ...data, nearMisses: { ...data.nearMisses, corner: around(10) } });
  expect(found.holds).toBe(false);
  expect(found.verdicts.filter(({ holds }) => !holds).map(({ against }) => against)).toEqual(['corner']);
});

test('a unit of both directions has two lobes and an echo; one that falls with rounding sees corners', () => {
  const bar = Array.from({ length: 36 }, (_, at) => 1 + Math.cos((4 * Math.PI * at) / 36));
  const failed = testShapeUnit({ ...curve(), tuning: bar, rounding: [[4, 3, 2, 1]] }).verdicts.filter(
    ({ holds }) => !holds,
  );
  expect(failed.map(({ claim }) => claim)).toEqual(['one lobe', 'tuned', 'no echo', 'rises with rounding']);
});

test('where nothing can be said the verdict is neither, and the unit does not hold', () => {
  const signed = testShapeUnit({ ...curve(), tuning: tuned.map((value) => value - 0.2) });
  expect(signed.verdicts.find(({ claim }) => claim === 'tuned')).toMatchObject({ holds: null, value: null });
  expect(signed.holds).toBe(false);
  const single = testShapeUnit({ ...curve(), positives: [10], nearMisses: { straight: [1] } });
  expect(single.verdicts[0]).toMatchObject({ holds: null });
  expect(() => testShapeUnit({ ...curve(), nearMisses: {} })).toThrow('near-misses');
});

test('classes that are wholly apart count as 1, not as unknown', () => {
  const found = testShapeUnit({ ...curve(), positives: [3, 3.5, 4], nearMisses: { noise: [0, 1, 2] } });
  expect(found.verdicts[0]).toMatchObject({ value: 1, holds: true });
});
