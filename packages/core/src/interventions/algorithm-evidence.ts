import type { Evidence } from '@circuitscope/schema';
import { type Measured, toEstimate } from '../statistics/index.ts';
import type { InterchangeAccuracy } from './interchange.ts';
import type { Scrubbing } from './scrub.ts';

/** What was measured as evidence that a record can hold: scores, with the best wrong alignment beside each. */
export function algorithmEvidence(exchanged: readonly InterchangeAccuracy[], scrubbing: Scrubbing | null): Evidence[] {
  const best = (values: readonly (Measured | null)[]): Measured | null =>
    values.reduce((top, one) => (one && (!top || one.value > top.value) ? one : top), null);
  const entries = exchanged.flatMap(({ variables, score, nulls }): [string, Measured | null][] => {
    const of = variables.join(' + ');
    const told = nulls.filter(({ predicted }) => predicted === null || predicted[1] < 1);
    return [
      [`interchange accuracy where it changes the output, ${of}`, score.changing],
      [`interchange accuracy where it does not, ${of}`, score.unchanging],
      [`interchange accuracy of the best wrong alignment, ${of}`, best(told.map(({ changing }) => changing))],
    ];
  });
  entries.push(
    ['causal scrubbing, recovered', scrubbing?.recovered ?? null],
    [
      'causal scrubbing, recovered by the best wrong alignment',
      best(scrubbing?.nulls.map((one) => one.recovered) ?? []),
    ],
  );
  return entries.flatMap(([name, measured]): Evidence[] => {
    if (!measured) return [];
    const { value, interval, n } = toEstimate(measured);
    return [{ kind: 'score', name, value, ...(interval ? { interval } : {}), ...(n === undefined ? {} : { n }) }];
  });
}
