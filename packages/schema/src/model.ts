import { z } from 'zod';
import { Hash } from './hash.ts';
import { index, maybe, name, record, text } from './shape.ts';

/**
 * Which model was looked at. `contentHash` covers the weights, `graphHash` the computation. `view` is `raw` as its authors
 * run it, or `folded` (layer norms folded, writing weights centred); numbers of the two views do not compare.
 */
export const ModelRef = record({
  kind: z.literal('model'),
  name,
  architecture: name,
  contentHash: Hash,
  graphHash: maybe(Hash),
  view: z.enum(['raw', 'folded']),
  source: maybe(text),
  revision: maybe(name),
  tokenizer: maybe(Hash),
  /** How many numbers the weights hold. */
  parameters: index,
  /** As stored; `mixed` where tensors differ. */
  dtype: z.enum(['f64', 'f32', 'f16', 'bf16', 'mixed']),
});
export type ModelRef = z.infer<typeof ModelRef>;
