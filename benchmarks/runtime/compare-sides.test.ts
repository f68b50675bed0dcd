import { expect, test } from 'vitest';
import { compareSides, distance, type Sample } from './compare-sides.ts';
import type { Row } from './rows.ts';

const row: Row = { name: 'block', what: '', peers: [], rounds: 2, tolerance: 1e-3, bar: '' };
const sample = (name: string, round: number, ms: number, values: { [index: string]: number }, parts = 1): Sample => ({
  name,
  way: null,
  version: '1',
  own: name === 'circuitscope',
  parts,
  round,
  others: 0,
  answer: { ms, peakRssBytes: 100 * ms, values },
});
const right = { 0: 1, 1: -4, 2: 2, 3: 0.5 };

test('a side whose numbers are wrong has no time', () => {
  const samples = [
    sample('circuitscope', 0, 10, right),
    sample('torch', 0, 30, { ...right, 2: 2.1 }),
    sample('transformers', 0, 20, { ...right, 2: 2.001 }),
  ];
  const { sides } = compareSides(row, samples, right, 1);
  expect(sides.map(({ ms }) => ms)).toEqual([10, null, 20]);
  expect(sides[1]?.error).toBeCloseTo(0.025, 12);
});

test('without float64 the first peer is what others are held against, us included', () => {
  const samples = [sample('circuitscope', 0, 10, { ...right, 0: 9 }), sample('torch', 0, 30, right)];
  const { sides, against } = compareSides(row, samples, null, 1);
  expect(against).toBe('torch 1');
  expect(sides.map(({ ms, error }) => [ms, error])).toEqual([
    [null, 2],
    [30, null],
  ]);
});

test('parts count by their values, and say how much of the whole they are', () => {
  const samples = [
    sample('circuitscope', 0, 10, right),
    sample('torch', 0, 30, { 0: 1 }, 4),
    sample('torch', 1, 50, { 2: 2 }, 4),
  ];
  const [own, torch] = compareSides(row, samples, right, 2).sides;
  expect([own?.ms, own?.measured]).toEqual([10, 1]);
  expect([torch?.ms, torch?.measured, torch?.peakRssBytes]).toEqual([160, 0.5, 5000]);
  expect(compareSides({ ...row, each: true }, samples, right, 2).sides.map(({ ms }) => ms)).toEqual([2.5, 40]);
});

test('kinds of values have scales of their own, and what is not a number is as wrong as can be', () => {
  const kindOf = (index: number): number => index % 2;
  expect(distance({ 0: 1.5 }, { 0: 1, 1: 1000 }, { kindOf })).toBe(0.5);
  expect(distance({ 0: Number.NaN }, { 0: 1 }, {})).toBe(Number.POSITIVE_INFINITY);
  expect(distance({ 5: 1 }, { 0: 1 }, {})).toBeNaN();
});
