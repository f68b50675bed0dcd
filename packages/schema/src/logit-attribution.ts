import { z } from 'zod';
import { finite, index, list, maybe, name, record, text } from './shape.ts';

/** What one part of the stream adds; `layer` and `head` where the part has them. */
export const AttributionPart = record({
  label: name,
  kind: z.enum(['embedding', 'head', 'attention', 'mlp', 'bias']),
  layer: maybe(index),
  head: maybe(index),
  value: finite,
});
export type AttributionPart = z.infer<typeof AttributionPart>;

/** Direct logit attribution at one position: parts that add up to a logit, or to the difference of two. Drawn, not stored. */
export const LogitAttributionView = record({
  kind: z.literal('logit_attribution'),
  answer: record({ id: index, text }),
  /** Absent: the logit of the answer alone. */
  wrong: maybe(record({ id: index, text })),
  parts: list(AttributionPart, 1 << 16),
  /** As the model computes it. */
  logit: finite,
  /** What the parts add up to; rounding alone lies between the two. */
  sum: finite,
});
export type LogitAttributionView = z.infer<typeof LogitAttributionView>;
