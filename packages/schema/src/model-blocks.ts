import { z } from 'zod';
import { index, list, maybe, name, record, text } from './shape.ts';

/** One block: what reads the stream and what it adds to it. */
export const ModelBlock = record({
  attention: maybe(
    record({
      heads: index,
      /** Fewer than heads: that many heads share each key and value. */
      kvHeads: index,
      headWidth: index,
      /** How many keys a query reads; absent where it reads all. */
      window: maybe(index),
    }),
  ),
  mlp: maybe(record({ width: index, activation: name, gated: z.boolean() })),
  /** Where norms stand: before each branch, behind its output, both, behind each sum, or nowhere. */
  norms: z.enum(['pre', 'post', 'both', 'sum', 'none']),
  /** One branch after the other; side by side, each behind a norm of its own; side by side behind one norm. */
  residual: z.enum(['sequential', 'parallel', 'shared']),
});
export type ModelBlock = z.infer<typeof ModelBlock>;

/** What a transformer is made of, for drawing. Drawn, not stored. */
export const ModelBlocks = record({
  kind: z.literal('model_blocks'),
  name: text,
  /** Of the residual stream. */
  width: index,
  vocab: index,
  positions: text,
  norm: maybe(z.enum(['layer', 'rms'])),
  /** First to last. */
  blocks: list(ModelBlock, 4096),
  /** One weight serves embedding and unembedding. */
  tied: z.boolean(),
});
export type ModelBlocks = z.infer<typeof ModelBlocks>;
