import { z } from 'zod';
import { Estimate } from './estimate.ts';
import { Hash } from './hash.ts';
import { CriterionState, HypothesisVerdict } from './hypothesis-decision.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, index, list, name, record, text } from './shape.ts';

/** What came out of one test of a locked hypothesis. The verdict follows from the criteria and the locked rule alone. */
export const HypothesisOutcome = record({
  kind: z.literal('hypothesis_outcome'),
  version: z.literal(1),
  name,
  /** Hash of the ledger entry that locked it, and of the hypothesis as it was locked. */
  lock: Hash,
  hypothesis: Hash,
  model: ModelRef,
  /** Data drawn after the lock. */
  data: list(record({ stimuli: name, seed: index, hash: Hash, n: index }), 64),
  criteria: list(
    record({
      id: name,
      estimate: name,
      measured: Estimate,
      /** Of the interval, after the correction for its family. */
      level: finite.gt(0).lt(1),
      direction: z.enum(['at_least', 'at_most']),
      bound: finite,
      state: CriterionState,
      control: z.boolean(),
    }),
    128,
  ),
  verdict: HypothesisVerdict,
  reasons: list(text, 128),
  provenance: Provenance,
});
export type HypothesisOutcome = z.infer<typeof HypothesisOutcome>;

export const parseHypothesisOutcome = (value: unknown) => parseStored(HypothesisOutcome, 'hypothesis_outcome', value);
