import { z } from 'zod';
import { Hash } from './hash.ts';
import { DecisionRule } from './hypothesis-decision.ts';
import { Json } from './json.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { finite, index, list, maybe, name, record, text } from './shape.ts';
import { Site } from './site.ts';
import { UnitRef } from './unit.ts';
import { Ablation } from './value.ts';

/** A list that holds something: a claim without a rival, a control or data is none. */
const some = <T extends z.ZodType>(item: T, max: number) => z.array(item).min(1).max(max).readonly();

/** What the claim is about, as something that can be read: which units, chosen how, counted how. */
export const OperationalDefinition = record({
  what: text,
  units: list(UnitRef, 4096),
  sites: list(Site, 4096),
  /** How the units were chosen, with the number that decided. */
  condition: text,
  /** Data that chose the units; confirmation data are other data. */
  chosenOn: list(name, 16),
  unitOfAnalysis: z.enum(['prompt', 'sequence', 'seed', 'model']),
  exclusions: text,
});
export type OperationalDefinition = z.infer<typeof OperationalDefinition>;

/**
 * A number that will be measured, and where it must lie. `supported` if the whole interval lies on the predicted side of
 * `bound`, `refuted` if all of it lies on the other, else `open`. `bound` is the smallest effect of interest.
 */
export const Prediction = record({
  /** The criterion that the decision rule names. */
  id: name,
  what: text,
  /** Which estimate of the analysis: a name of the program's table. */
  estimate: name,
  /** What is set against what. */
  contrast: text,
  direction: z.enum(['at_least', 'at_most']),
  bound: finite,
  /** Why this bound and no other. */
  reason: text,
  alpha: finite.gt(0).lt(0.5),
  /** Intervals are simultaneous within a family. */
  family: name,
  /** On exploration data: the estimate, its deviation between units, and the power for the planned number of units. */
  pilot: maybe(record({ value: finite, sd: finite.nonnegative(), n: index, power: finite.min(0).max(1) })),
});
export type Prediction = z.infer<typeof Prediction>;

/** Another explanation of the same behaviour, and the criteria by which the two differ. */
export const Alternative = record({ id: name, claim: text, separatedBy: some(name, 64) });
export type Alternative = z.infer<typeof Alternative>;

export const PlannedIntervention = record({
  id: name,
  what: text,
  target: list(UnitRef, 4096),
  by: z.union([Ablation, z.enum(['patch', 'steer', 'edit'])]),
  /** The estimate that shows whether the intervention took hold. */
  check: maybe(name),
});
export type PlannedIntervention = z.infer<typeof PlannedIntervention>;

/** A prediction about something that must succeed or must fail whatever the claim; refuted, it spoils the test. */
export const Control = record({
  kind: z.enum(['positive', 'negative', 'sham', 'random', 'untrained', 'shuffled']),
  what: text,
  criterion: name,
});
export type Control = z.infer<typeof Control>;

/**
 * Where prompts come from. `explore`: a seed that was used before the lock. `from_lock`: the seed follows from the locked
 * record's hash and the stream's name, so that nobody saw the data before the lock.
 */
export const Stimuli = record({
  id: name,
  generator: name,
  parameters: Json,
  examples: index,
  seed: z.discriminatedUnion('kind', [
    record({ kind: z.literal('explore'), seed: index }),
    record({ kind: z.literal('from_lock'), stream: name }),
  ]),
});
export type Stimuli = z.infer<typeof Stimuli>;

export const Analysis = record({
  /** The table of estimates and its version. */
  estimates: name,
  interval: z.enum(['bca', 'percentile']),
  resamples: index,
  /** Within each family. */
  correction: z.enum(['bonferroni', 'none']),
  cluster: text,
  rng: name,
  /** What happens to a value that is not finite: nothing is dropped in silence. */
  missing: z.literal('refuse'),
});
export type Analysis = z.infer<typeof Analysis>;

/**
 * A claim that can fail, in full, before it is tested. Conditions between fields (a decision rule that can be met both
 * ways, a criterion without a prediction) are checked when it is locked.
 */
export const Hypothesis = record({
  kind: z.literal('hypothesis'),
  version: z.literal(1),
  name,
  /** 1 for the first; each revision is one more and names the lock that it revises. */
  revision: index,
  parent: maybe(Hash),
  claim: text,
  claimKind: z.enum(['feature', 'circuit', 'universality', 'method']),
  scope: record({ models: list(ModelRef, 4096), data: text }),
  definition: OperationalDefinition,
  predictions: some(Prediction, 64),
  alternatives: some(Alternative, 64),
  interventions: list(PlannedIntervention, 64),
  controls: some(Control, 64),
  /** Each control's criterion, as a prediction that does not speak for or against the claim. */
  controlPredictions: list(Prediction, 64),
  stimuli: some(Stimuli, 64),
  analysis: Analysis,
  decision: DecisionRule,
});
export type Hypothesis = z.infer<typeof Hypothesis>;

export const parseHypothesis = (value: unknown) => parseStored(Hypothesis, 'hypothesis', value);
