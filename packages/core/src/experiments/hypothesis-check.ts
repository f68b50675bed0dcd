import {
  CircuitscopeError,
  type CriterionState,
  criteriaOf,
  type Hypothesis,
  type HypothesisVerdict,
  holds,
  type Prediction,
} from '@circuitscope/schema';

/** Where a measured number can lie at all; ±Infinity where nothing bounds it. */
export type EstimateRange = readonly [low: number, high: number];

/** The largest truth table: more criteria than that make no decision that a person can read. */
const MOST_CASES = 1 << 20;

/** Verdict by the locked rule; nothing else enters. */
export function decide(
  { invalidIf, falsifiedIf, corroboratedIf }: Hypothesis['decision'],
  states: ReadonlyMap<string, CriterionState>,
): HypothesisVerdict {
  if (holds(invalidIf, states)) return 'invalid';
  if (holds(falsifiedIf, states)) return 'falsified';
  return holds(corroboratedIf, states) ? 'corroborated' : 'inconclusive';
}

/** What an interval says of a prediction: beyond the bound on the predicted side, all on the other, or across. */
export function stateOf(
  { direction, bound }: Pick<Prediction, 'direction' | 'bound'>,
  [low, high]: readonly [number, number],
): CriterionState {
  if (direction === 'at_least') return low >= bound ? 'supported' : high < bound ? 'refuted' : 'open';
  return high <= bound ? 'supported' : low > bound ? 'refuted' : 'open';
}

/**
 * Refuses a hypothesis that is no test: ids that lead nowhere, estimates that nobody computes, a decision that can be met
 * both ways or not at all. The decision is checked by its truth table over all states that measurements can bring about:
 * predictions about one estimate share its interval, and a bound beyond an estimate's range can only come out one way.
 * @throws CircuitscopeError `bad_hypothesis`, `unfalsifiable`, `overlapping_decision`, `unsupportable`
 */
export function checkHypothesis(hypothesis: Hypothesis, ranges: ReadonlyMap<string, EstimateRange>): void {
  const { predictions, controlPredictions, controls, alternatives, interventions, decision, stimuli, name } =
    hypothesis;
  const fail = (code: string, what: string, at: string): never => {
    throw new CircuitscopeError(code, `The hypothesis ${name} cannot be locked: ${what}.`, { at });
  };
  const criteria = [...predictions, ...controlPredictions];
  const ids = new Set(criteria.map(({ id }) => id));
  if (ids.size < criteria.length) fail('bad_hypothesis', 'two criteria share an id', 'predictions');
  for (const { id, estimate } of criteria)
    if (!ranges.has(estimate))
      fail('bad_hypothesis', `${id} is about the estimate ${estimate}, which the analysis does not compute`, id);
  const asked = new Set([decision.invalidIf, decision.falsifiedIf, decision.corroboratedIf].flatMap(criteriaOf));
  for (const id of asked)
    if (!ids.has(id)) fail('bad_hypothesis', `its decision asks for ${id}, which is no criterion`, 'decision');
  for (const { id } of criteria)
    if (!asked.has(id)) fail('bad_hypothesis', `its decision does not depend on ${id}`, id);
  const spoils = new Set(criteriaOf(decision.invalidIf));
  const controlIds = new Set(controlPredictions.map(({ id }) => id));
  for (const { criterion } of controls)
    if (!controlIds.has(criterion) || !spoils.has(criterion))
      fail('bad_hypothesis', `the control ${criterion} has no criterion that can make the test invalid`, 'controls');
  for (const { id, separatedBy } of alternatives)
    for (const criterion of separatedBy)
      if (!ids.has(criterion))
        fail(
          'bad_hypothesis',
          `the rival ${id} is told apart by ${criterion}, which is no criterion`,
          `alternatives.${id}`,
        );
  for (const { id, check } of interventions)
    if (check !== undefined && !ids.has(check))
      fail(
        'bad_hypothesis',
        `the intervention ${id} is checked by ${check}, which is no criterion`,
        `interventions.${id}`,
      );
  if (!stimuli.some(({ seed }) => seed.kind === 'from_lock'))
    fail('bad_hypothesis', 'none of its data are drawn after the lock', 'stimuli');

  let [falsifiable, supportable, overlaps] = [false, false, false];
  for (const states of casesOf(criteria, ranges)) {
    if (holds(decision.invalidIf, states)) continue;
    const [falsified, corroborated] = [holds(decision.falsifiedIf, states), holds(decision.corroboratedIf, states)];
    falsifiable ||= falsified;
    supportable ||= corroborated;
    overlaps ||= falsified && corroborated;
  }
  if (!falsifiable) fail('unfalsifiable', 'no measurement can falsify it, so it says nothing', 'decision.falsifiedIf');
  if (!supportable) fail('unsupportable', 'no measurement can corroborate it', 'decision.corroboratedIf');
  if (overlaps) fail('overlapping_decision', 'one measurement can both corroborate and falsify it', 'decision');
}

/** Every joint state of the criteria that some measurement gives. */
function* casesOf(
  criteria: readonly Prediction[],
  ranges: ReadonlyMap<string, EstimateRange>,
): Generator<ReadonlyMap<string, CriterionState>> {
  const groups = new Map<string, Prediction[]>();
  for (const one of criteria) {
    // Another level gives another interval of the same number.
    const key = JSON.stringify([one.estimate, one.family, one.alpha]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const outcomes = [...groups.values()].map((members) => jointStates(members, ranges.get(members[0]?.estimate ?? '')));
  const cases = outcomes.reduce((product, { length }) => product * length, 1);
  if (cases > MOST_CASES)
    throw new CircuitscopeError(
      'bad_hypothesis',
      `A decision over ${criteria.length} criteria has too many cases to be checked; use fewer.`,
    );
  for (let at = 0; at < cases; at++) {
    const states = new Map<string, CriterionState>();
    let rest = at;
    for (const list of outcomes) {
      for (const [id, state] of list[rest % list.length] ?? []) states.set(id, state);
      rest = Math.floor(rest / list.length);
    }
    yield states;
  }
}

/** States of predictions about one number, for intervals whose ends lie at, between and beyond the bounds. */
function jointStates(
  members: readonly Prediction[],
  [low, high]: EstimateRange = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
): readonly (readonly (readonly [string, CriterionState])[])[] {
  const bounds = [...new Set(members.map(({ bound }) => bound))].sort((a, b) => a - b);
  const between = bounds.slice(1).map((bound, at) => (bound + (bounds[at] as number)) / 2);
  const outside = [(bounds[0] as number) - 1, (bounds[bounds.length - 1] as number) + 1];
  const ends = [...bounds, ...between, ...outside, low, high].filter(
    (end) => Number.isFinite(end) && end >= low && end <= high,
  );
  const found = new Map<string, readonly (readonly [string, CriterionState])[]>();
  for (const from of ends)
    for (const to of ends) {
      if (from > to) continue;
      const states = members.map((one) => [one.id, stateOf(one, [from, to])] as const);
      found.set(JSON.stringify(states), states);
    }
  return [...found.values()];
}
