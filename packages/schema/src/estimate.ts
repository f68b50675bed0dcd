import type { z } from 'zod';
import { finite, index, interval, maybe, record } from './shape.ts';

/** A number that was measured: with its standard error, its 95 % interval, and how many examples it rests on. */
export const Estimate = record({
  value: finite,
  se: maybe(finite.nonnegative()),
  interval: maybe(interval),
  n: maybe(index),
});
export type Estimate = z.infer<typeof Estimate>;
