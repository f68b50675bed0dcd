import type { Ablation } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { drawResamples, meanInterval } from '../statistics/index.ts';
import { cutEdges, type MeasureOptions, type Metric, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import type { TaskData } from './task-data.ts';

/** What cutting one edge did: clean minus cut, so an edge that helps is positive (negative where the metric is a loss). */
export interface EdgeEffect {
  readonly edge: Edge;
  readonly effect: number;
  /** 95 % over examples; null where they do not differ. */
  readonly interval: Bounds | null;
  readonly n: number;
}

export type Bounds = readonly [low: number, high: number];

export interface EdgeEffects {
  readonly metric: Metric;
  readonly ablation: Ablation;
  readonly clean: number;
  readonly effects: readonly EdgeEffect[];
}

/** The exact effect of each edge alone, as one sweep with a variant per edge. */
export async function edgeEffects(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { ablation, metric, ...options }: MeasureOptions & { readonly ablation: Ablation; readonly metric: Metric },
): Promise<EdgeEffects> {
  const runs = options.runs ?? (await sourceRuns(engine, data, ablation, options));
  const variants = [[], ...edges.map((edge) => cutEdges([edge], ablation))];
  const measured = await measure(engine, data, metric, variants, { ...options, runs });
  const clean = rowValues(measured, 0);
  // All edges on the same resamples: their intervals compare, and drawing them anew would cost more than the model.
  const bootstrap = { seed: 0, draws: drawResamples({ size: data.examples }, 0, 1000) };
  const effects = edges.map((edge, index): EdgeEffect => {
    const cut = rowValues(measured, index + 1);
    const differences = clean.map((value, example) => value - (cut[example] ?? 0));
    return {
      edge,
      effect: meanOf(differences),
      interval: meanInterval(differences, bootstrap).interval,
      n: differences.length,
    };
  });
  return { metric, ablation, clean: meanOf(clean), effects };
}
