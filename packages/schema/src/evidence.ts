import { z } from 'zod';
import { Intervention } from './intervention.ts';
import { finite, index, interval, list, maybe, name, record, text } from './shape.ts';

/** The model was changed and a metric was read before and after. The effect is before − after: what the change took away. */
const InterventionEvidence = record({
  kind: z.literal('intervention'),
  interventions: list(Intervention),
  metric: name,
  before: finite,
  after: finite,
  n: index,
  /** Of the effect. */
  interval: maybe(interval),
  /** The value of `after` that was written down before the run. */
  predicted: maybe(finite),
});

/** A statistical test. `p` stands after `correction` over the `family.size` tests that were run together. */
const TestEvidence = record({
  kind: z.literal('test'),
  name,
  h0: text,
  statistic: finite,
  p: finite.min(0).max(1),
  n: index,
  correction: maybe(z.enum(['none', 'bonferroni', 'holm', 'benjamini_hochberg'])),
  family: maybe(record({ name, size: index })),
  interval: maybe(interval),
});

/** A number that speaks for the claim without a test: an AUROC, a share of attention. */
const ScoreEvidence = record({
  kind: z.literal('score'),
  name,
  value: finite,
  interval: maybe(interval),
  n: maybe(index),
});

/** Why a node, an edge or a circuit is believed. */
export const Evidence = z.discriminatedUnion('kind', [InterventionEvidence, TestEvidence, ScoreEvidence]);
export type Evidence = z.infer<typeof Evidence>;
