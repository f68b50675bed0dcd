import { z } from 'zod';
import { BosRule, CorpusPlace, CorpusRef } from './captures.ts';
import { Hash } from './hash.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { finite, index, list, name, record, text } from './shape.ts';
import { Site } from './site.ts';

/**
 * What the latents of a dictionary do over a corpus. The numbers are a safetensors file beside it, float64 all: `count`, `sum`,
 * `sum_squares`, `max` [latents], `histogram` [latents, edges + 1], and `top_values`, `top_documents`, `top_positions`
 * [latents, examples]. It is written at every stop, so that an interrupted run goes on from `next`.
 */
export const LatentStatistics = record({
  kind: z.literal('latent_statistics'),
  version: z.literal(1),
  model: ModelRef,
  /** Changes whenever a kernel's bits do. */
  numericsVersion: name,
  dictionary: record({ name: text, contentHash: Hash, latents: index }),
  /** What the dictionary reads. */
  site: Site,
  corpus: CorpusRef,
  /** The longest row of tokens; documents are cut into rows. */
  length: index,
  bos: BosRule,
  /** No more tokens than this are read; absent limits are the largest whole number. */
  limit: index,
  /** Tokens that are read by the model and not counted. */
  ignore: list(index, 4096),
  /** The largest activations of a latent that are kept with their places. */
  examples: index,
  /** A bin of the histogram begins at each of them and ends before the next; one lies before the first, one from the last on. */
  edges: list(finite, 256),
  /** Null until the first stop. */
  file: z.nullable(record({ file: name, bytes: index, sha256: Hash })),
  /** Tokens that were read. */
  tokens: index,
  /** Tokens that were counted. */
  counted: index,
  /** Active latents of all counted tokens together, and latents that were active once at least. */
  active: index,
  alive: index,
  documents: index,
  next: CorpusPlace,
  complete: z.boolean(),
  /** The share of the corpus that is read, by bytes or documents. */
  share: finite.min(0).max(1),
});
export type LatentStatistics = z.infer<typeof LatentStatistics>;

export const parseLatentStatistics = (value: unknown) => parseStored(LatentStatistics, 'latent_statistics', value);
