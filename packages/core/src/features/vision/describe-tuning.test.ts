import { expect, test } from 'vitest';
import { describeTuning } from './describe-tuning.ts';
import { varianceShares } from './variance-shares.ts';

const around = (count: number, response: (angle: number) => number): number[] =>
  Array.from({ length: count }, (_, at) => response((2 * Math.PI * at) / count));

test('a raised cosine: vector strength ½, its angle, half-width 90°', () => {
  const tuning = describeTuning(
    around(72, (angle) => 1 + Math.cos(angle - 1)),
    { over: 'direction' },
  );
  if (tuning.vector.kind !== 'measured') throw new Error('it is not negative');
  expect(tuning.vector.strength).toBeCloseTo(0.5, 12);
  expect(tuning.vector.preferred).toBeCloseTo(1, 12);
  expect(tuning.peak.angle).toBeCloseTo(1, 1);
  expect(tuning.halfWidth).toBeCloseTo(Math.PI / 2, 2);
  expect(tuning.lobes).toBe(1);
  expect(tuning.echo).toBeLessThan(0.002);
});

test('a rectified cosine falls to half its peak at 60°', () => {
  const tuning = describeTuning(
    around(360, (angle) => Math.max(0, Math.cos(angle))),
    { over: 'direction' },
  );
  expect(tuning.halfWidth).toBeCloseTo(Math.PI / 3, 3);
  expect(tuning.echo).toBe(0);
});

test('a bar detector has two lobes and an echo over directions, one lobe over orientations', () => {
  const response = (angle: number): number => 1 + Math.cos(2 * (angle - 0.5));
  const full = describeTuning(around(64, response), { over: 'direction' });
  if (full.vector.kind !== 'measured') throw new Error('it is not negative');
  expect(full.vector.strength).toBeLessThan(1e-12);
  expect(full.lobes).toBe(2);
  expect(full.echo).toBeCloseTo(1, 12);
  const half = describeTuning(
    Array.from({ length: 32 }, (_, at) => response((Math.PI * at) / 32)),
    { over: 'orientation' },
  );
  if (half.vector.kind !== 'measured') throw new Error('it is not negative');
  expect([half.vector.strength, half.vector.preferred].map((value) => value.toFixed(12))).toEqual([
    '0.500000000000',
    '0.500000000000',
  ]);
  expect(half.lobes).toBe(1);
  expect(half.echo).toBeNull();
});

test('responses of both signs have a peak but no selectivity index, silence has neither', () => {
  const signed = describeTuning(around(8, Math.cos), { over: 'direction' });
  expect(signed.vector.kind).toBe('undefined');
  expect(signed.peak).toEqual({ index: 0, angle: 0, response: 1 });
  const silent = describeTuning(new Array(8).fill(0), { over: 'direction' });
  expect(silent).toMatchObject({ halfWidth: null, lobes: 0, echo: null, vector: { kind: 'undefined' } });
  const even = describeTuning(new Array(8).fill(3), { over: 'direction' });
  expect(even).toMatchObject({ halfWidth: null, lobes: 1, echo: 1 });
});

test('too few responses and NaN are errors', () => {
  expect(() => describeTuning([1, 2, 3], { over: 'direction' })).toThrow('at least 4');
  expect(() => describeTuning([1, 2, Number.NaN, 4], { over: 'direction' })).toThrow('finite');
});

test('shares of variance: a sum has no interaction, a product of centred factors nothing else', () => {
  const levels = [-3, -1, 1, 3];
  const sum = varianceShares(levels.map((target) => levels.map((nuisance) => 10 + 2 * target + nuisance)));
  expect([sum.target, sum.nuisance, sum.interaction].map((share) => share.toFixed(9))).toEqual([
    '0.800000000',
    '0.200000000',
    '0.000000000',
  ]);
  const product = varianceShares(levels.map((target) => levels.map((nuisance) => target * nuisance)));
  expect(product).toMatchObject({ target: 0, nuisance: 0, interaction: 1 });
  expect(
    varianceShares([
      [2, 2],
      [2, 2],
    ]),
  ).toEqual({ target: 0, nuisance: 0, interaction: 0, total: 0 });
  expect(() => varianceShares([[1, 2], [3]])).toThrow('full table');
});
