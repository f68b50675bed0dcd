import { z } from 'zod';
import { parseRecord } from './parse.ts';
import { finite, index, list, MAX_LIST, maybe, position, record, table } from './shape.ts';
import { Site } from './site.ts';

/**
 * The part of a site that carries a variable. `units` is a range of its last axis, first and one after the last; `unit`
 * lists them one by one; `directions` are orthonormal rows over the last axis, whose span is the part. A variable's value at
 * position p lies at position p + shift. What is left out is not restricted.
 */
export const AlignedPart = record({
  site: Site,
  head: maybe(list(index)),
  units: maybe(z.tuple([index, index]).readonly()),
  unit: maybe(list(index)),
  directions: maybe(list(list(finite), 4096)),
  shift: maybe(position),
  /** How a value reads there: a column per value; one number; cos and sin, by turns, of an angle per frequency. */
  encoding: maybe(z.enum(['one_hot', 'number', 'waves'])),
})
  .refine(({ units }) => !units || units[0] < units[1], {
    path: ['units'],
    error: 'a range of units is [first, one after the last]',
  })
  .refine(({ units }) => !units || units[1] - units[0] <= MAX_LIST, {
    path: ['units'],
    error: `a range has at most ${MAX_LIST} units`,
  })
  .refine(({ units, unit, directions }) => [units, unit, directions].filter((one) => one !== undefined).length <= 1, {
    error: 'a part has units, unit or directions, only one of them',
  });
export type AlignedPart = z.infer<typeof AlignedPart>;

/** Where in a model the variables of a program lie. Variables that are not listed have no place of their own. */
export const Alignment = table(AlignedPart).refine((parts) => Object.keys(parts).length > 0, {
  error: 'an alignment places at least one variable',
});
export type Alignment = z.infer<typeof Alignment>;

export const parseAlignment = (value: unknown) => parseRecord(Alignment, value, 'alignment');
