import { z } from 'zod';
import { Hash } from './hash.ts';
import { Pos, Scope } from './scope.ts';
import { index, list, maybe, name, record } from './shape.ts';
import { Site } from './site.ts';

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

/** How uncertain the next token is, −Σ p log p in nats. */
const Entropy = record({ kind: z.literal('entropy'), at: Pos });

const answer = list(index).refine((ids) => ids.length > 0, { error: 'give one token id, or one per example' });

/** log p of a token, in nats; one id per example, or one for all. */
const LogProb = record({ kind: z.literal('logProb'), at: Pos, answer });

/** How many tokens come before a token in the order of topK: 0 for the first. */
const Rank = record({ kind: z.literal('rank'), at: Pos, answer });

/** Σ q log(q / p) in nats, q what another run says there. That run has captured the stream before the last norm. */
const Divergence = record({ kind: z.literal('kl'), at: Pos, run: name });

/** Cross entropy in nats of token t+1 at position t: one value per position, 0 where it is not counted (padding, the last token). */
const Loss = record({ kind: z.literal('loss'), at: maybe(Pos) });

/** The dot product of a site with a direction of unit length. */
const Project = record({ kind: z.literal('project'), at: Scope, direction: Hash });

/** Which active latents of a dictionary stay: `perToken` is how many a token there is room for on average, all of them at most. */
const KeepLatents = z.discriminatedUnion('kind', [
  record({
    kind: z.literal('topK'),
    k: z
      .int()
      .min(1)
      .max(1 << 16),
  }),
  record({ kind: z.literal('above'), perToken: maybe(z.int().min(1)) }),
  record({
    kind: z.literal('batchTopK'),
    k: z
      .int()
      .min(1)
      .max(1 << 16),
  }),
]);

/**
 * A site read through a dictionary: the latents that are active, as sparse rows. Of each position the k first (value
 * descending, then index ascending), all, or the k·T first of all T positions. The dictionary is given to the run by its hash.
 */
const Latents = record({ kind: z.literal('latents'), at: Scope, dictionary: Hash, keep: KeepLatents });

/** How a target adds up: over all its entries, or divided by the number of examples (of counted tokens, for a loss). */
const Reduce = z.enum(['sum', 'mean']);

/** A number that a gradient is taken of. `site` adds the entries of a scope, each times the direction's (as stored) if one is given. */
export const GradientTarget = z.discriminatedUnion('kind', [
  record({ kind: z.literal('logitDiff'), at: Pos, answer: list(index), wrong: list(index), reduce: Reduce }).refine(
    ({ answer, wrong }) => answer.length === wrong.length,
    { path: ['wrong'], error: 'answer and wrong have one token id per example each' },
  ),
  record({ kind: z.literal('loss'), at: maybe(Pos), reduce: Reduce }),
  record({ kind: z.literal('site'), at: Scope, direction: maybe(Hash) }),
]);
export type GradientTarget = z.infer<typeof GradientTarget>;

/**
 * The derivative of each target with respect to a site (of every example by its own) or a weight. Along `edges` it is
 * taken where `at` reads, and multiplied with what given changes of the sites `from` write there, each writer and each
 * head of the reader apart, over positions and width. Gradients of one plan have one list of targets and share one backward.
 */
const Gradient = record({
  kind: z.literal('gradient'),
  of: list(GradientTarget).refine((targets) => targets.length > 0, { error: 'a gradient needs a target' }),
  wrt: z.discriminatedUnion('kind', [
    record({ kind: z.literal('site'), at: Scope }),
    record({ kind: z.literal('param'), name }),
    record({
      kind: z.literal('edges'),
      at: Scope,
      from: list(record({ site: Site, change: Hash })).refine((writers) => writers.length > 0, {
        error: 'name at least one site that writes',
      }),
    }),
  ]),
});

/** What a plan brings back. Nothing that is not asked for is kept. */
export const Readout = z.discriminatedUnion('kind', [
  Capture,
  LogitDiff,
  TopK,
  Entropy,
  LogProb,
  Rank,
  Divergence,
  Loss,
  Project,
  Latents,
  Gradient,
]);
export type Readout = z.infer<typeof Readout>;
