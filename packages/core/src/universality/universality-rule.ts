import type { ScoreOverModels, UniversalityRule, UniversalityVerdict } from '@circuitscope/schema';

/**
 * What models must share, and beside which chance, for each word; fixed before any run. "Half" is where what is shared
 * outweighs what differs.
 */
export const universalityRule: UniversalityRule = {
  id: 'universality/1',
  alpha: 0.05,
  scores: [
    {
      score: 'functional',
      atLeast: 0.9,
      nulls: ['untrained'],
      reason: 'A behaviour that fails one time in ten is another behaviour.',
    },
    {
      score: 'roles',
      atLeast: 0.5,
      nulls: ['untrained'],
      reason: 'The difference of matched roles has at most half their squared size: more is shared than differs.',
    },
    {
      score: 'causal',
      atLeast: Math.SQRT1_2,
      nulls: ['permuted_roles', 'untrained', 'wrong_task'],
      reason: 'One model’s ablation effects say at least half of the variance of the other’s (r² ≥ ½).',
    },
    {
      score: 'edges',
      atLeast: 0.5,
      nulls: ['permuted_roles', 'rewired', 'untrained'],
      reason: 'At least half of all edge weight is shared.',
    },
  ],
};

type Scored = Pick<ScoreOverModels, 'score' | 'estimate' | 'nulls' | 'missing'>;

/**
 * The word that the scores earn. A score passes if the low end of its interval (its value where no interval exists)
 * reaches the bound and every null that can be drawn gives p ≤ alpha. `functional`: both do it. `weak`: also by components
 * of the same roles with the same effects. `strong`: also with the same edges. Each word needs all of the one before, so
 * the tests are asked in a fixed order and need no correction; within a word all must pass (intersection-union).
 */
export function universalityVerdict(
  scores: readonly Scored[],
  rule: UniversalityRule = universalityRule,
): UniversalityVerdict {
  const criteria = rule.scores.map(({ score, atLeast, nulls }) => {
    const found = scores.find((one) => one.score === score);
    const reasons = found ? against(found, atLeast, nulls, rule.alpha) : ['it was not measured'];
    return { score, passed: reasons.length === 0, reasons };
  });
  const passed = (name: string): boolean => criteria.find(({ score }) => score === name)?.passed ?? false;
  const functional = passed('functional');
  const weak = functional && passed('roles') && passed('causal');
  const outcome = !functional ? 'none' : !weak ? 'functional' : passed('edges') ? 'strong' : 'weak';
  return { outcome, rule, criteria };
}

function against(
  { estimate, nulls, missing }: Scored,
  atLeast: number,
  wanted: readonly string[],
  alpha: number,
): string[] {
  const low = estimate.interval ? estimate.interval[0] : estimate.value;
  const reasons = low >= atLeast ? [] : [`it reaches down to ${low.toFixed(3)}, below ${atLeast.toFixed(3)}`];
  for (const kind of wanted) {
    const found = nulls.find((one) => one.kind === kind);
    if (found && found.p > alpha) reasons.push(`${kind} gives as much with p ${found.p.toFixed(3)}`);
    // A null that has no other arrangement (one head per layer cannot be renamed) speaks neither way.
    if (!found && !missing.some((one) => one.kind === kind)) reasons.push(`the null ${kind} was not drawn`);
  }
  return reasons;
}
