import { z } from 'zod';
import { Estimate } from './estimate.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, index, interval, list, maybe, name, record, text } from './shape.ts';
import { UnitRef } from './unit.ts';

/**
 * What two models may share, from the weakest claim to the strongest: the behaviour; the roles of their components; what
 * changing a component does; the weights between components.
 */
export const ComparedScore = z.enum(['functional', 'roles', 'causal', 'edges']);
export type ComparedScore = z.infer<typeof ComparedScore>;

/** A model under comparison; `control` groups (untrained models, models of another task) are what the subjects must beat. */
export const ComparedModel = record({
  id: name,
  group: name,
  as: z.enum(['subject', 'control']),
  model: ModelRef,
  /** Which control: `untrained`, `wrong_task`. */
  control: maybe(name),
  /** The seed it was trained or drawn with, where one is known. */
  seed: maybe(index),
});
export type ComparedModel = z.infer<typeof ComparedModel>;

/** Two subjects, the components that were matched, and the scores of the pair. */
export const ModelPair = record({
  a: name,
  b: name,
  matched: list(record({ a: UnitRef, b: UnitRef, similarity: finite })),
  scores: record({ functional: finite, roles: finite, causal: finite, edges: finite }),
});
export type ModelPair = z.infer<typeof ModelPair>;

/** What the score would be by chance: `p` is (1 + as large) / (1 + n), `z` the distance in deviations of the null. */
export const ComparisonNull = record({
  kind: name,
  what: text,
  mean: finite,
  sd: finite.nonnegative(),
  z: maybe(finite),
  p: finite.min(0).max(1),
  n: index,
});
export type ComparisonNull = z.infer<typeof ComparisonNull>;

/** One score over all pairs of subjects. The unit of analysis is the model: intervals draw models, never tokens. */
export const ScoreOverModels = record({
  score: ComparedScore,
  definition: text,
  estimate: Estimate,
  /** Mean over the pairs that each model is in, every model shown. */
  perModel: list(record({ model: name, value: finite })),
  /** Least and largest mean if one model is left out. */
  withoutOne: maybe(interval),
  nulls: list(ComparisonNull, 16),
  /** Nulls that could not be drawn, each with its reason. */
  missing: list(record({ kind: name, reason: text }), 16),
});
export type ScoreOverModels = z.infer<typeof ScoreOverModels>;

/** The rule a verdict follows, written down before the run: what each score must reach and which nulls it must beat. */
export const UniversalityRule = record({
  id: name,
  alpha: finite.gt(0).lt(1),
  scores: list(
    record({
      score: ComparedScore,
      /** The low end of the interval must reach it. */
      atLeast: finite,
      /** p of each of these must be at most alpha. */
      nulls: list(name, 16),
      reason: text,
    }),
    8,
  ),
});
export type UniversalityRule = z.infer<typeof UniversalityRule>;

export const UniversalityVerdict = record({
  outcome: z.enum(['strong', 'weak', 'functional', 'none']),
  rule: UniversalityRule,
  /** For each score whether it passed, and what speaks against it. */
  criteria: list(record({ score: ComparedScore, passed: z.boolean(), reasons: list(text, 32) }), 8),
});
export type UniversalityVerdict = z.infer<typeof UniversalityVerdict>;

/** Models compared on one behaviour: which components correspond, how alike they are, beside what chance gives. */
export const Comparison = record({
  kind: z.literal('comparison'),
  version: z.literal(1),
  name,
  description: maybe(text),
  models: list(ComparedModel, 4096),
  /** Pairs of subjects that the scores are means of. */
  pairs: list(ModelPair),
  /** `within`: all pairs of one architecture. `between`: pairs of models of different groups. */
  pairing: z.enum(['within', 'between']),
  scores: list(ScoreOverModels, 8),
  /** Similarity of whole representations; shown, and no part of the verdict. */
  similarities: list(record({ measure: name, site: text, estimate: Estimate }), 64),
  verdict: UniversalityVerdict,
  provenance: Provenance,
}).superRefine(({ models, pairs }, context) => {
  const ids = new Set(models.map(({ id }) => id));
  if (ids.size < models.length)
    context.addIssue({ code: 'custom', path: ['models'], message: 'two models share an id' });
  pairs.forEach((pair, at) => {
    for (const end of ['a', 'b'] as const)
      if (!ids.has(pair[end]))
        context.addIssue({ code: 'custom', path: ['pairs', at, end], message: `no model has the id ${pair[end]}` });
  });
});
export type Comparison = z.infer<typeof Comparison>;

export const parseComparison = (value: unknown) => parseStored(Comparison, 'comparison', value);
