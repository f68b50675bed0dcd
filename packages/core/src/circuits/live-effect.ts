import { type Ablation, CircuitscopeError, type Task, type UnitRef, unitLabel } from '@circuitscope/schema';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { meanInterval } from '../statistics/index.ts';
import type { Bounds } from './edge-effects.ts';
import { cutEdges, type MeasureOptions, type Metric, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import { taskData } from './task-data.ts';

export interface LiveEffect {
  readonly metric: Metric;
  readonly before: number;
  readonly after: number;
  /** 95 % of before − after over examples; null where they do not differ. */
  readonly interval: Bounds | null;
  readonly n: number;
}

/**
 * Cuts a set of edges and units together (a unit: every edge that it writes) and reads the task's metric again.
 * @throws CircuitscopeError `unknown_unit` for a unit that nothing reads
 */
export async function liveEffect(
  engine: Engine,
  task: Task,
  cut: { readonly edges: readonly Edge[]; readonly units: readonly UnitRef[]; readonly ablation: Ablation },
  options: MeasureOptions = {},
): Promise<LiveEffect> {
  const data = taskData(task);
  const units = new Set(cut.units.map(unitLabel));
  const written = edgesOf(decompose(engine.graph)).filter(({ from }) => units.has(unitLabel(from)));
  const writers = new Set(written.map(({ from }) => unitLabel(from)));
  const unread = [...units].find((unit) => !writers.has(unit));
  if (unread !== undefined) {
    throw new CircuitscopeError(
      'unknown_unit',
      `Nothing in this model reads a unit ${unread}, so it cannot be cut; choose a head, an MLP or the input.`,
      { at: unread, got: unread },
    );
  }
  const edges = [...cut.edges, ...written];
  const runs = await sourceRuns(engine, data, cut.ablation, options);
  const metric = task.metric.kind;
  const measured = await measure(engine, data, metric, [[], cutEdges(edges, cut.ablation)], { ...options, runs });
  const [before, after] = [rowValues(measured, 0), rowValues(measured, 1)];
  const differences = before.map((value, example) => value - (after[example] ?? 0));
  return {
    metric,
    before: meanOf(before),
    after: meanOf(after),
    interval: meanInterval(differences, { seed: 0, resamples: 1000 }).interval,
    n: data.examples,
  };
}
