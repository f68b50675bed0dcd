import { z } from 'zod';
import { list, name, record } from './shape.ts';

/** What a measurement says about a prediction: its interval lies beyond the bound, short of it, or across it. */
export const CriterionState = z.enum(['supported', 'refuted', 'open']);
export type CriterionState = z.infer<typeof CriterionState>;

/** A boolean expression over criterion ids. */
export type Condition =
  | { readonly kind: 'is'; readonly criterion: string; readonly state: CriterionState }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'all'; readonly of: readonly Condition[] }
  | { readonly kind: 'any'; readonly of: readonly Condition[] };

/** Depth is bounded by `checkStructure` before zod sees it. An `all` of nothing is true, an `any` of nothing false. */
export const Condition: z.ZodType<Condition> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    record({ kind: z.literal('is'), criterion: name, state: CriterionState }),
    record({ kind: z.literal('not'), of: Condition }),
    record({ kind: z.literal('all'), of: list(Condition, 256) }),
    record({ kind: z.literal('any'), of: list(Condition, 256) }),
  ]),
);

/** How a verdict follows; `invalid` is asked first. What no condition covers is inconclusive. */
export const DecisionRule = record({
  invalidIf: Condition,
  falsifiedIf: Condition,
  corroboratedIf: Condition,
});
export type DecisionRule = z.infer<typeof DecisionRule>;

export const HypothesisVerdict = z.enum(['corroborated', 'falsified', 'invalid', 'inconclusive']);
export type HypothesisVerdict = z.infer<typeof HypothesisVerdict>;

/** Whether a condition holds, given the state of every criterion. An unknown criterion is in no state. */
export function holds(condition: Condition, states: ReadonlyMap<string, CriterionState>): boolean {
  switch (condition.kind) {
    case 'is':
      return states.get(condition.criterion) === condition.state;
    case 'not':
      return !holds(condition.of, states);
    case 'all':
      return condition.of.every((one) => holds(one, states));
    case 'any':
      return condition.of.some((one) => holds(one, states));
  }
}

/** The criteria that a condition asks for. */
export function criteriaOf(condition: Condition): readonly string[] {
  if (condition.kind === 'is') return [condition.criterion];
  if (condition.kind === 'not') return criteriaOf(condition.of);
  return condition.of.flatMap(criteriaOf);
}
