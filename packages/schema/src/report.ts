import { z } from 'zod';
import { CircuitForm } from './circuit.ts';
import { Estimate } from './estimate.ts';
import { Hash } from './hash.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, index, interval, list, maybe, name, record, text } from './shape.ts';
import { Site } from './site.ts';

/** Mean attention on the keys that such a head would choose, and what even attention over the allowed keys gives. */
export const HeadScore = record({ estimate: Estimate, chance: finite });
export type HeadScore = z.infer<typeof HeadScore>;

/** What a projection took from the metric, beside random directions at the same place; `p` is (1 + as large) / (1 + all). */
const NullDirections = record({
  kind: z.enum(['haar', 'covariance']),
  count: index,
  mean: finite,
  interval,
  p: finite.min(0).max(1),
});

/** One direction that stands for a property: how well it tells fresh examples apart, and what its absence does. */
export const DirectionFinding = record({
  site: Site,
  predicate: text,
  estimator: name,
  /** Unit length. */
  vector: list(finite, 1 << 16),
  auroc: Estimate,
  bestCoordinate: record({ unit: index, auroc: Estimate }),
  /** On examples where the property matters: the metric before, and after x − (x·u)u at every position. */
  effect: record({ metric: name, before: finite, after: finite, change: Estimate, random: list(NullDirections, 8) }),
});
export type DirectionFinding = z.infer<typeof DirectionFinding>;

/** A change of weights with what the cut edges predicted, what it did, and what random changes of the same rank did. */
export const WeightEditFinding = record({
  edges: list(text, 4096),
  params: list(name, 4096),
  rank: index,
  metric: name,
  before: finite,
  predicted: finite,
  after: finite,
  interval: maybe(interval),
  controls: record({ count: index, mean: finite, lowest: finite, highest: finite }),
  n: index,
});
export type WeightEditFinding = z.infer<typeof WeightEditFinding>;

/**
 * What one examination of a model found, act by act: the document that `demo --json` prints. Nothing in it depends on
 * the machine or the hour; the run record says those.
 */
export const Report = record({
  kind: z.literal('report'),
  version: z.literal(1),
  model: ModelRef,
  sizes: record({
    layers: index,
    heads: index,
    kvHeads: index,
    model: index,
    head: index,
    mlp: index,
    vocab: index,
    context: index,
    sites: index,
  }),
  heads: list(
    record({ layer: index, head: index, previousToken: HeadScore, duplicateToken: HeadScore, induction: HeadScore }),
  ),
  direction: maybe(DirectionFinding),
  circuit: CircuitForm,
  /** The examples that found the circuit and those that tested it. */
  data: record({ discovery: Hash, proof: Hash, examples: index }),
  weightEdit: maybe(WeightEditFinding),
  /** Whether the circuit passed, by a rule that was fixed before the run; it may go against the circuit. */
  verdict: record({ holds: z.boolean(), rule: text, reasons: list(text, 16) }),
  /** Acts that were not performed, each with its reason. */
  notPerformed: list(text, 64),
  provenance: Provenance,
});
export type Report = z.infer<typeof Report>;

export const parseReport = (value: unknown) => parseStored(Report, 'report', value);
