import { CircuitscopeError, type GradientTarget } from '@circuitscope/schema';
import { type Metric, readoutFor } from './measure.ts';
import type { TaskData } from './task-data.ts';

/** A metric that has a gradient: `accuracy` has none. */
export type GradientMetric = Exclude<Metric, 'accuracy'>;

/**
 * The metric of some examples of a task, added up, as the target of a gradient.
 * @throws CircuitscopeError `no_gradient` for a metric that has none, `bad_task` where a loss has no next token
 */
export function metricTarget(metric: Metric, data: TaskData, from = 0, to = data.examples): GradientTarget {
  if (metric === 'accuracy') {
    throw new CircuitscopeError(
      'no_gradient',
      'Accuracy is a step and has no gradient; attribute logit_diff or loss, or cut edges exactly.',
      { expected: 'logit_diff, loss', got: metric },
    );
  }
  readoutFor(metric, data);
  const at = { kind: 'perExample' as const, positions: data.end.slice(from, to) };
  if (metric === 'loss') return { kind: 'loss', at, reduce: 'sum' };
  const { answer, wrong } = data;
  return { kind: 'logitDiff', at, answer: answer.slice(from, to), wrong: wrong.slice(from, to), reduce: 'sum' };
}
