import { z } from 'zod';
import { Hash } from './hash.ts';
import { Intervention } from './intervention.ts';
import { parseStored } from './parse-stored.ts';
import { Readout } from './readout.ts';
import { list, maybe, record } from './shape.ts';

/**
 * An experiment as data: what to change in which order, what to read. With a `sweep`, variant i applies `interventions`
 * and then `sweep[i]`; without one there is a single variant.
 */
export const Plan = record({
  kind: z.literal('plan'),
  version: z.literal(1),
  graph: Hash,
  interventions: list(Intervention),
  readouts: list(Readout),
  sweep: maybe(list(list(Intervention))),
});
export type Plan = z.infer<typeof Plan>;

export const parsePlan = (value: unknown) => parseStored(Plan, 'plan', value);
