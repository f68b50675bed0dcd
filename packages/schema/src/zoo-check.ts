import { z } from 'zod';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, index, list, maybe, name, record, text } from './shape.ts';
import { Ablation } from './value.ts';

/** What came of a row. `fails_as_expected`: the method is known to go wrong there; `unexpectedly_right`: it was thought to. */
const outcome = z.enum(['right', 'fails_as_expected', 'wrong', 'unexpectedly_right', 'baseline', 'not_applicable']);

/** A discovery method on a model whose circuit is known, or a model held to what is claimed of it. */
export const ZooCheckRow = z.discriminatedUnion('kind', [
  record({
    kind: z.literal('method'),
    member: name,
    ablation: Ablation,
    metric: name,
    method: name,
    outcome,
    edges: index,
    trueEdges: index,
    /** Why it must go wrong, or why it cannot be asked. */
    expected: maybe(text),
    reason: maybe(text),
    found: maybe(index),
    exact: maybe(z.boolean()),
    jaccard: maybe(finite.min(0).max(1)),
    /** Of true edges above others, with ties. */
    auroc: maybe(finite.min(0).max(1)),
    /** Of the edges that have a sign in the method and in their exact effect. */
    sameSign: maybe(finite.min(0).max(1)),
    forwards: maybe(index),
    backwards: maybe(index),
  }),
  record({
    kind: z.literal('claim'),
    member: name,
    claim: text,
    outcome,
    value: maybe(finite),
    expected: maybe(text),
  }),
]);
export type ZooCheckRow = z.infer<typeof ZooCheckRow>;

/** Every method on every member: found against truth. Times stand in the run record, so that equal work has equal bytes. */
export const ZooCheck = record({
  kind: z.literal('zoo_check'),
  version: z.literal(1),
  quick: z.boolean(),
  rows: list(ZooCheckRow, 1 << 16),
  provenance: Provenance,
});
export type ZooCheck = z.infer<typeof ZooCheck>;

export const parseZooCheck = (value: unknown) => parseStored(ZooCheck, 'zoo_check', value);
