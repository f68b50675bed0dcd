import { z } from 'zod';
import { finite, index, list, maybe, name, record, text } from './shape.ts';

/** What one stream would say at one position. */
export const LensCell = record({
  /** The likeliest tokens first, with their log probabilities in nats. */
  top: list(record({ id: index, text, logProb: finite }), 64),
  /** In nats. */
  entropy: finite,
  /** KL(what the model says in the end ‖ what is read here), in nats. */
  klToFinal: finite,
  /** Of the prompt's own next token; absent at the last position. */
  next: maybe(record({ logProb: finite, rank: index })),
});
export type LensCell = z.infer<typeof LensCell>;

/** The logit lens over one prompt: each stream read as if it were the last. Drawn, not stored. */
export const LogitLensView = record({
  kind: z.literal('logit_lens'),
  /** `0_pre` … `final_post`, first to last. */
  streams: list(name, 8192),
  tokens: list(text, 4096),
  /** Row-major [stream, position]. */
  cells: list(LensCell, 1 << 16),
}).refine(({ streams, tokens, cells }) => cells.length === streams.length * tokens.length, {
  path: ['cells'],
  error: 'there is one cell per stream and position',
});
export type LogitLensView = z.infer<typeof LogitLensView>;
