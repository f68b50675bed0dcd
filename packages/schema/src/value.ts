import { z } from 'zod';
import { Hash } from './hash.ts';
import { finite, name, position, record } from './shape.ts';

const Const = record({ kind: z.literal('const'), value: finite });
const Artefact = record({ kind: z.literal('artefact'), hash: Hash });

/**
 * What is written. `run` is the same place in another named run (a patch); `mean` is that run's mean over its batch, or
 * over batch and positions; `resample` is another example of that run: the batch rolled by `shift`, or permuted by `seed`.
 */
export const Value = z.discriminatedUnion('kind', [
  Const,
  Artefact,
  record({ kind: z.literal('run'), name }),
  record({ kind: z.literal('mean'), run: name, over: z.enum(['batch', 'batch_pos']) }),
  record({
    kind: z.literal('resample'),
    run: name,
    by: z.discriminatedUnion('kind', [
      record({ kind: z.literal('roll'), shift: position }),
      record({ kind: z.literal('seed'), seed: z.int().nonnegative() }),
    ]),
  }),
]);
export type Value = z.infer<typeof Value>;

/** What can be written into a weight: no run has weights of its own. */
export const WeightValue = z.discriminatedUnion('kind', [Const, Artefact]);
export type WeightValue = z.infer<typeof WeightValue>;

/** How a unit is taken out: written with zero, with its mean, or with its value on another example. */
export const Ablation = z.enum(['zero', 'mean', 'resample']);
export type Ablation = z.infer<typeof Ablation>;
