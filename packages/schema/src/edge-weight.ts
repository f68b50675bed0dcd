import { z } from 'zod';
import { finite, index, interval, maybe, name, record, text } from './shape.ts';
import { Ablation } from './value.ts';

/**
 * What a weight's sign means. `clean_minus_cut`: the metric of the whole model minus that with the edge cut, so a helpful
 * edge is positive. `cut_minus_clean`: the other way round, as EAP writes it. `signed_weight`: a product of weights that
 * excites or inhibits. `unsigned_norm`, `unsigned_share`: never negative. `log_odds`: of the edge being in.
 * `indicator`: 0 or 1.
 */
export const Sign = z.enum([
  'clean_minus_cut',
  'cut_minus_clean',
  'signed_weight',
  'unsigned_norm',
  'unsigned_share',
  'log_odds',
  'indicator',
]);
export type Sign = z.infer<typeof Sign>;

const EFFECT: readonly Sign[] = ['clean_minus_cut', 'cut_minus_clean'];

/** The signs that each kind of weight can have. An unsigned norm is never shown as an effective weight, or the reverse. */
export const SIGNS_OF_WEIGHT = {
  /** f2ᵀ W f1 along the residual stream. */
  virtual: ['signed_weight'],
  /** f2ᵀ W_OV f1: what a head carries from one direction to another. */
  effective_ov: ['signed_weight'],
  /** f2ᵀ W_QK f1: how much one direction makes a head attend to another. */
  effective_qk: ['signed_weight'],
  /** What the writer adds to the reader's value in these runs, without what goes through others. */
  direct_effect: ['signed_weight', ...EFFECT],
  /** First-order estimate of the patch effect (EAP, EAP-IG). */
  attribution: EFFECT,
  /** Exact: the edge was cut and the metric was read. */
  patch_effect: EFFECT,
  /** ‖W_b W_a‖ / (‖W_b‖ ‖W_a‖) of Q-, K- or V-composition; `baseline` is that of random matrices. */
  composition: ['unsigned_norm'],
  /** Mean attention, between 0 and 1. */
  attention: ['unsigned_share'],
  /** A learnt mask. */
  mask: ['log_odds', 'unsigned_share'],
  /** Whether a set contains the edge, or in which share of sets it is. */
  membership: ['indicator', 'unsigned_share'],
} as const satisfies Record<string, readonly Sign[]>;

export const WEIGHT_KINDS = [
  'virtual',
  'effective_ov',
  'effective_qk',
  'direct_effect',
  'attribution',
  'patch_effect',
  'composition',
  'attention',
  'mask',
  'membership',
] as const satisfies readonly (keyof typeof SIGNS_OF_WEIGHT)[];
export type WeightKind = (typeof WEIGHT_KINDS)[number];

/**
 * One number on an edge that says what it is: kind, sign convention and method. An edge holds several; they are columns
 * beside each other and never mixed. `value` is raw: a baseline is not subtracted.
 */
export const EdgeWeight = record({
  kind: z.enum(WEIGHT_KINDS),
  value: finite,
  se: maybe(finite.nonnegative()),
  interval: maybe(interval),
  method: name,
  sign: Sign,
  /** Of `value`: `logit_diff`, `nats`. */
  unit: maybe(text),
  /** What chance gives: random matrices of the same size, random pairs. */
  baseline: maybe(finite),
  ablation: maybe(Ablation),
  n: maybe(index),
  /** Ids of the circuit's features between which the weight lies; without them it is of the whole unit. */
  between: maybe(record({ from: name, to: name })),
  /** Before or after the reader's nonlinearity, where the two differ. */
  stage: maybe(z.enum(['pre_activation', 'post_activation'])),
}).superRefine(({ kind, sign, value, ablation }, context) => {
  const signs: readonly Sign[] = SIGNS_OF_WEIGHT[kind];
  const fail = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
  if (!signs.includes(sign)) fail('sign', `a weight of kind ${kind} has sign ${signs.join(' or ')}`);
  if (sign.startsWith('unsigned') && value < 0) fail('value', `${sign} is never negative`);
  if (sign === 'unsigned_share' && value > 1) fail('value', 'a share is at most 1');
  if (sign === 'indicator' && value !== 0 && value !== 1) fail('value', 'an indicator is 0 or 1');
  if (kind === 'patch_effect' && ablation === undefined) fail('ablation', 'an exact effect says what was put in place');
});
export type EdgeWeight = z.infer<typeof EdgeWeight>;
