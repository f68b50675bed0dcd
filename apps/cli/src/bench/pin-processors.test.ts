import { expect, test } from 'vitest';
import { processorsFor, processorsOf } from './pin-processors.ts';

test('a list of processors is read as the system writes it, and what is none is left out', () => {
  expect(processorsOf('0-3,8')).toEqual([0, 1, 2, 3, 8]);
  expect(processorsOf('5')).toEqual([5]);
  expect(processorsOf('3-1,x,0-99999999')).toEqual([]);
});

test('as many processors as threads, the last ones; all where there are fewer', () => {
  expect(processorsFor(1, [0, 1])).toEqual([1]);
  expect(processorsFor(2, [0, 1, 4])).toEqual([1, 4]);
  expect(processorsFor(8, [0, 1])).toEqual([0, 1]);
});
