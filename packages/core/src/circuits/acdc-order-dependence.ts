import { edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { type AcdcOptions, acdc } from './acdc.ts';
import type { SearchResult } from './edge-search.ts';
import { pairwiseJaccard } from './judge-edges.ts';
import { sourceRuns } from './measure.ts';
import type { TaskData } from './task-data.ts';

export interface OrderDependence {
  readonly runs: readonly SearchResult[];
  /** Share of the runs that keep each edge, in the order that was given. */
  readonly kept: Float64Array;
  /** Over all pairs of runs; null of fewer than two. */
  readonly jaccard: ReturnType<typeof pairwiseJaccard>;
  /** Edges that every run keeps, and those that some run keeps. */
  readonly always: readonly Edge[];
  readonly sometimes: readonly Edge[];
}

/** ACDC over seeded orders: how far its answer is the task's, and how far the order's. */
export async function acdcOrderDependence(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { seeds, ...options }: Omit<AcdcOptions, 'order'> & { readonly seeds: readonly number[] },
): Promise<OrderDependence> {
  const { onProgress, ...rest } = options;
  const runs = rest.runs ?? (await sourceRuns(engine, data, rest.ablation, rest));
  const found: SearchResult[] = [];
  for (const [at, seed] of seeds.entries()) {
    const progress = (share: number): void => onProgress?.((at + share) / seeds.length);
    found.push(await acdc(engine, data, edges, { ...rest, runs, order: { seed }, onProgress: progress }));
  }
  const sets = found.map((run) => new Set(run.edges.map(edgeLabel)));
  const kept = Float64Array.from(edges, (edge) => {
    const label = edgeLabel(edge);
    return sets.filter((set) => set.has(label)).length / Math.max(1, sets.length);
  });
  return {
    runs: found,
    kept,
    jaccard: pairwiseJaccard(found.map((run) => run.edges)),
    always: edges.filter((_, at) => kept[at] === 1),
    sometimes: edges.filter((_, at) => (kept[at] as number) > 0),
  };
}
