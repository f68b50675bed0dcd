import { z } from 'zod';
import { finite, index, list, maybe, record, text } from './shape.ts';

/** One token of a prompt, and what the model thought of it before it saw it. */
export const StripToken = record({
  id: index,
  /** As the tokenizer spells it: white space and control characters included. */
  text,
  /** What it stands for in the prompt, where that is written otherwise: a whole character, capitals, an accent. */
  source: maybe(text),
  /** Of this token where it stands, in nats, by the model's own logits one position before; absent at the first. */
  logProb: maybe(finite),
  /** 0 if it was the likeliest there. */
  rank: maybe(index),
});
export type StripToken = z.infer<typeof StripToken>;

/** A prompt as its tokens. Drawn and thrown away: not stored, so without a version. */
export const TokenStrip = record({ kind: z.literal('token_strip'), tokens: list(StripToken, 4096) });
export type TokenStrip = z.infer<typeof TokenStrip>;
