import { expect, test } from 'vitest';
import { batchRng, IGNORED, tokenBatch } from './batch.ts';
import { initialise } from './initialise.ts';

test('a batch of tokens asks for the next one at every position but the last', () => {
  const { batch, pos, inputs, lossWeights } = tokenBatch([
    [5, 6, 7],
    [8, 9, 10],
  ]);
  expect([batch, pos]).toEqual([2, 3]);
  expect([...(inputs.targets ?? [])]).toEqual([6, 7, IGNORED, 9, 10, IGNORED]);
  expect([...(inputs.positions ?? [])]).toEqual([0, 1, 2, 0, 1, 2]);
  expect([...lossWeights]).toEqual([0.25, 0.25, 0, 0.25, 0.25, 0]);
});

test('rows of unequal length and batches without a target are refused', () => {
  expect(() => tokenBatch([[1, 2], [3]])).toThrow('as long as its first row');
  expect(() => tokenBatch([[1]])).toThrow('No target of this batch is counted');
});

test('the numbers of a step depend on seed and step alone', () => {
  const draw = (seed: number, step: number) => batchRng(seed, step).uint32();
  expect(draw(3, 17)).toBe(draw(3, 17));
  const all = [0, 1].flatMap((seed) => Array.from({ length: 500 }, (_, step) => draw(seed, step)));
  expect(new Set(all).size).toBe(all.length);
});

test('a weight starts the same whichever others there are, with the deviation that was asked for', () => {
  const shape = [60, 40];
  const { data } = initialise(1, 'a', shape, { kind: 'xavier' });
  expect(initialise(1, 'a', shape, { kind: 'xavier' }).data).toEqual(data);
  expect(initialise(1, 'b', shape, { kind: 'xavier' }).data).not.toEqual(data);
  const deviation = Math.sqrt(Float64Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length);
  expect(Math.abs(deviation / Math.sqrt(2 / 100) - 1)).toBeLessThan(0.05);
  const even = initialise(1, 'a', [1000], { kind: 'uniform', bound: 0.5 }).data;
  expect(Math.max(...even.map(Math.abs))).toBeLessThanOrEqual(0.5);
  expect(Math.max(...even) - Math.min(...even)).toBeGreaterThan(0.98);
  expect([...initialise(1, 'a', [2], { kind: 'constant', value: 3 }).data]).toEqual([3, 3]);
  expect(() => initialise(1, 'a', [2], { kind: 'xavier' })).toThrow('is no matrix');
});
