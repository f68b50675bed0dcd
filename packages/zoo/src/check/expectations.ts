import type { Truth } from '../zoo-member.ts';
import type { CheckMethod } from './check-zoo.ts';

export interface Expectation {
  readonly member: string;
  readonly ablation: Truth['ablation'];
  readonly metric: Truth['metric'];
  readonly methods: readonly CheckMethod[];
  /** Why these methods must go wrong there. */
  readonly why: string;
}

type Where = readonly [member: string, ...ablations: Truth['ablation'][]];

const both = ['zero', 'resample'] as const;

const failing = (methods: readonly CheckMethod[], why: string, where: readonly Where[]): Expectation[] =>
  where.flatMap(([member, ...ablations]) =>
    ablations.map((ablation): Expectation => ({ member, ablation, metric: 'logit_diff', methods, why })),
  );

/** Written down with the models: what goes wrong elsewhere, or no longer here, is a finding. */
export const expectations: readonly Expectation[] = [
  ...failing(
    ['attribution'],
    'A unit has one score for all of its edges: it cannot say through which port, or by which reader, the unit matters.',
    [
      ['rasp-frac-prevs', ...both],
      ['rasp-shift-by-1', ...both],
      ['rasp-hist', ...both],
      ['rasp-length', 'zero'],
      ['rasp-sort-unique', ...both],
      ['rasp-reverse', 'zero'],
      ['rasp-pair-balance', ...both],
      ['rasp-sort', ...both],
      ['rasp-detect-pattern', ...both],
      ['rasp-shuffle-dyck2', ...both],
      ['modular-addition-closed-form', ...both],
      ['modular-addition-closed-form-13', ...both],
      ['linear-attention', ...both],
      ['linear-blocks', ...both],
    ],
  ),
  ...failing(
    ['eap'],
    'Saturated attention and the flat steps of selector widths have gradient 0 at the clean prompt, though cutting the edge changes the answer.',
    [
      ['rasp-hist', ...both],
      ['rasp-length', 'zero'],
      ['rasp-sort-unique', ...both],
      ['rasp-reverse', 'zero'],
      ['rasp-sort', ...both],
      ['rasp-shuffle-dyck2', ...both],
    ],
  ),
  ...failing(
    ['eap-ig'],
    'On the straight way between the prompts the steps are narrow and attention switches at one place: sixteen gradients meet neither.',
    [
      ['rasp-hist', 'resample'],
      ['rasp-length', 'zero'],
      ['rasp-shuffle-dyck2', 'resample'],
    ],
  ),
  ...failing(
    ['eap'],
    'The product of two cosines is made of ReLUs whose gates stand still to first order, so edges into the gates have gradient 0.',
    [
      ['modular-addition-closed-form', 'zero'],
      ['modular-addition-closed-form-13', 'zero'],
    ],
  ),
];

export function expectationOf(
  member: string,
  { ablation, metric }: Pick<Truth, 'ablation' | 'metric'>,
  method: CheckMethod,
): Expectation | undefined {
  return expectations.find(
    (one) =>
      one.member === member && one.ablation === ablation && one.metric === metric && one.methods.includes(method),
  );
}
