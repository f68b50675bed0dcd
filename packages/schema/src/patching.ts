import { z } from 'zod';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, index, list, maybe, name, record, text } from './shape.ts';

/** What a cell of a grid patches, in one layer: a value of the stream, a branch's output, or a part of attention. */
export const PatchSite = z.enum([
  'resid_pre',
  'resid_mid',
  'resid_post',
  'attn_out',
  'mlp_out',
  'z',
  'q',
  'k',
  'v',
  'pattern',
]);
export type PatchSite = z.infer<typeof PatchSite>;

/** `query` and `key` are the positions of a pattern; `head` counts key/value heads at `k` and `v`. */
export const PatchAxis = z.enum(['layer', 'position', 'head', 'query', 'key']);
export type PatchAxis = z.infer<typeof PatchAxis>;

/**
 * What is read at the end: logit[answer] − logit[wrong], log p and p of the answer, or how far the distribution is from that
 * of the clean prompts, Σ q log(q / p) in nats.
 */
export const PatchMetric = z.enum(['logit_diff', 'log_prob', 'prob', 'kl']);
export type PatchMetric = z.infer<typeof PatchMetric>;

/** In words, as a heading has it. */
export const patchMetricNames: { readonly [M in PatchMetric]: string } = {
  logit_diff: 'logit difference',
  log_prob: 'log-probability of the answer',
  prob: 'probability of the answer',
  kl: 'divergence from the clean prompt',
};

/** One number per place that was patched, row-major over the axes. */
export const PatchGrid = record({
  site: PatchSite,
  axes: list(PatchAxis, 5),
  shape: list(index, 5),
  /** The metric, mean over examples, with that one place patched. */
  values: list(finite),
}).refine(
  ({ axes, shape, values }) => axes.length === shape.length && shape.reduce((a, b) => a * b, 1) === values.length,
  {
    path: ['values'],
    error: 'there is one size per axis and one value per cell',
  },
);
export type PatchGrid = z.infer<typeof PatchGrid>;

/**
 * Activation patching. `denoise` runs the corrupt prompts and patches places from the clean ones, `noise` the other way
 * round. A cell's share of the whole difference is (value − base) / (source − base), with base the metric of the prompts
 * that are run and source that of those patched from: 0 changes nothing, 1 does all, whichever way round.
 */
export const Patching = record({
  kind: z.literal('patching'),
  version: z.literal(1),
  name,
  model: ModelRef,
  direction: z.enum(['denoise', 'noise']),
  metric: PatchMetric,
  /** The metric of the prompts that are run, and of those patched from; means over examples. */
  base: finite,
  source: finite,
  examples: index,
  grids: list(PatchGrid, 16),
  /** Of the first example: what stands at each position in the prompt that is run, and in the other. */
  tokens: maybe(record({ base: list(text), source: list(text) })),
  /** Multiply-adds of matrix products: computed for the grids, and for a whole forward pass per cell. */
  work: record({ multiplyAdds: index, dense: index }),
  provenance: Provenance,
});
export type Patching = z.infer<typeof Patching>;

export const parsePatching = (value: unknown) => parseStored(Patching, 'patching', value);

/** A cell's share of the whole difference; null where base and source do not differ. */
export function patchShare({ base, source }: Pick<Patching, 'base' | 'source'>, value: number): number | null {
  return source === base ? null : (value - base) / (source - base);
}
