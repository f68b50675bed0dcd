import { type MetricValues, rowValues } from '@circuitscope/core';

/**
 * How far a variant's metric lies from another variant's: the root of the mean squared difference over examples. Where the
 * output is a number, changes of either sign would cancel in a difference of means; here they do not.
 */
export function rmsChange(measured: MetricValues, variant: number, from = 0): number {
  const [before, after] = [rowValues(measured, from), rowValues(measured, variant)];
  const squares = before.map((value, example) => (value - (after[example] ?? Number.NaN)) ** 2);
  return Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length);
}
