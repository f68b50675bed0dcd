import { z } from 'zod';
import { Estimate } from './estimate.ts';
import { Hash } from './hash.ts';
import { finite, index, list, maybe, name, record, table, text } from './shape.ts';
import { Site } from './site.ts';

/** What every feature may carry. `id` is opaque; weights of edges name the features they lie between by it. */
const about = { id: maybe(name), label: maybe(text), description: maybe(text), scores: maybe(table(Estimate)) };

/** A direction longer than this is an artefact. */
const MAX_VECTOR = 1 << 16;

/**
 * Something that a model represents. A `direction` is a vector at a site, as numbers or as an artefact, and may name the
 * predicate of tokens that it was found from; `token` is a row of the embedding, `logit` a column of the unembedding.
 */
export const Feature = z.discriminatedUnion('kind', [
  record({
    kind: z.literal('direction'),
    site: Site,
    vector: z.union([Hash, list(finite, MAX_VECTOR)]),
    predicate: maybe(text),
    ...about,
  }),
  record({ kind: z.literal('neuron'), layer: index, neuron: index, ...about }),
  record({ kind: z.literal('head'), layer: index, head: index, ...about }),
  record({ kind: z.literal('latent'), dictionary: Hash, index, ...about }),
  record({ kind: z.literal('channel'), layer: index, channel: index, ...about }),
  record({ kind: z.literal('token'), token: index, ...about }),
  record({ kind: z.literal('logit'), token: index, ...about }),
  record({ kind: z.literal('error'), site: Site, ...about }),
]);
export type Feature = z.infer<typeof Feature>;
