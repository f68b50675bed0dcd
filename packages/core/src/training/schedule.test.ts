import { expect, test } from 'vitest';
import { learningRateFactor, type Schedule } from './schedule.ts';

const factors = (schedule: Schedule, steps: number) =>
  Array.from({ length: steps }, (_, done) => learningRateFactor(schedule, done, steps));

test('constant is 1 throughout', () => {
  expect(factors({ kind: 'constant' }, 3)).toEqual([1, 1, 1]);
});

test('the second half falls in a straight line, to nothing after the last step', () => {
  expect(factors({ kind: 'secondHalf' }, 8)).toEqual([1, 1, 1, 1, 1, 0.75, 0.5, 0.25]);
});

test('a warm-up rises in equal parts from the first step on, then stays, falls straight or as a cosine', () => {
  expect(factors({ kind: 'warmup', warmup: 4, decay: 'none' }, 6)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
  expect(factors({ kind: 'warmup', warmup: 2, decay: 'linear' }, 6)).toEqual([0.5, 1, 1, 0.75, 0.5, 0.25]);
  const cosine = factors({ kind: 'warmup', warmup: 2, decay: 'cosine' }, 6);
  const expected = [0.5, 1, 1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2];
  cosine.forEach((factor, at) => {
    expect(factor).toBeCloseTo(expected[at] ?? 0, 7);
  });
});

test('the cosine goes through float32, so that no runtime disagrees', () => {
  for (const factor of factors({ kind: 'warmup', warmup: 0, decay: 'cosine' }, 97)) {
    expect(Math.fround(1 - 2 * factor)).toBe(1 - 2 * factor);
  }
});

test('a step that is none of the schedule is an error', () => {
  for (const done of [-1, 3, 1.5])
    expect(() => learningRateFactor({ kind: 'constant' }, done, 3)).toThrow('not one of 3');
});
