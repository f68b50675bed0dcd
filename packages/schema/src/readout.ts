import { z } from 'zod';
import { Hash } from './hash.ts';
import { Pos, Scope } from './scope.ts';
import { index, list, maybe, record } from './shape.ts';

const Capture = record({ kind: z.literal('capture'), at: Scope });

/** logit[answer] − logit[wrong] at `at`; one token id per example in both lists. */
const LogitDiff = record({ kind: z.literal('logitDiff'), at: Pos, answer: list(index), wrong: list(index) }).refine(
  ({ answer, wrong }) => answer.length === wrong.length,
  { path: ['wrong'], error: 'answer and wrong have one token id per example each' },
);

/** The k largest logits and their token ids, value descending, then id ascending. */
const TopK = record({
  kind: z.literal('topK'),
  at: Pos,
  k: z
    .int()
    .min(1)
    .max(1 << 16),
});

/** Cross entropy in nats of token t+1 at position t: one value per position, 0 where it is not counted (padding, the last token). */
const Loss = record({ kind: z.literal('loss'), at: maybe(Pos) });

/** The dot product of a site with a direction of unit length. */
const Project = record({ kind: z.literal('project'), at: Scope, direction: Hash });

/** What a plan brings back. Nothing that is not asked for is kept. */
export const Readout = z.discriminatedUnion('kind', [Capture, LogitDiff, TopK, Loss, Project]);
export type Readout = z.infer<typeof Readout>;
