import type { Hypothesis, HypothesisOutcome } from '@circuitscope/schema';
import { numbers, type Style, table } from '../output/index.ts';
import { estimate } from './heads-text.ts';

/** What was locked, what was predicted, what came out, and what the rule makes of it. */
export function outcomeText(hypothesis: Hypothesis, outcome: HypothesisOutcome, style: Style): string {
  const about = new Map(
    [...hypothesis.predictions, ...hypothesis.controlPredictions].map((prediction) => [prediction.id, prediction.what]),
  );
  const rows = outcome.criteria.map(({ id, measured, direction, bound, state, control }) => [
    `${control ? '(control) ' : ''}${about.get(id) ?? id}`,
    `${direction === 'at_least' ? '≥' : '≤'} ${numbers.fixed(bound, 2)}`,
    estimate(measured),
    state === 'supported' ? style.good(state) : state === 'refuted' ? style.bad(state) : state,
  ]);
  const columns = [
    { title: 'predicted before the data existed' },
    { title: 'bound', align: 'right' as const },
    { title: 'observed', align: 'right' as const },
    { title: '' },
  ];
  const good = outcome.verdict === 'corroborated';
  const verdict = `${outcome.name}: ${outcome.verdict}.`;
  return [
    hypothesis.claim,
    `Locked as ${outcome.lock}; its data were drawn from seeds that follow from that lock.`,
    '',
    table(columns, rows, style),
    good ? style.good(verdict) : style.bad(verdict),
    // What went as predicted stands in the table.
    ...outcome.reasons.filter((reason) => !reason.endsWith('as predicted')).map((reason) => `- ${reason}`),
    '',
  ].join('\n');
}
