import { z } from 'zod';
import { index, list, maybe, name, position, record } from './shape.ts';
import { Site } from './site.ts';

/**
 * Which positions of each example. `positions` are the same in every example, `perExample` has one per example; negative
 * ones count from the end. `named` is looked up in the task's `positions`. `generated` are those behind the prompt of a
 * text that is being continued.
 */
export const Pos = z.discriminatedUnion('kind', [
  record({ kind: z.literal('all') }),
  record({ kind: z.literal('last') }),
  record({ kind: z.literal('positions'), positions: list(position) }),
  record({ kind: z.literal('perExample'), positions: list(position) }),
  record({ kind: z.literal('named'), name }),
  record({ kind: z.literal('generated') }),
]);
export type Pos = z.infer<typeof Pos>;

/**
 * A part of a site's value: `at` restricts its positions (queries, at attention sites), `key` the source positions of
 * `hook_pattern` and `hook_attn_scores`, `head` and `unit` its heads and last axis. What is left out is not restricted.
 */
export const Scope = record({
  site: Site,
  at: maybe(Pos),
  key: maybe(Pos),
  head: maybe(list(index)),
  unit: maybe(list(index)),
});
export type Scope = z.infer<typeof Scope>;
