import { edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { type AcdcOptions, acdc } from './acdc.ts';
import { type EdgeScores, edgeScores } from './edge-scores.ts';
import { sourceRuns } from './measure.ts';
import type { TaskData } from './task-data.ts';

/** ACDC's ranking: the largest of the thresholds at which an edge stays, 0 where it stays at none. One run a threshold. */
export async function acdcSweepScores(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { thresholds, ...options }: Omit<AcdcOptions, 'threshold'> & { readonly thresholds: readonly number[] },
): Promise<EdgeScores> {
  const { onProgress, ...rest } = options;
  const runs = rest.runs ?? (await sourceRuns(engine, data, rest.ablation, rest));
  const largest = new Map<string, number>();
  let forwards = rest.runs || rest.ablation === 'zero' ? 0 : 1;
  for (const [at, threshold] of thresholds.entries()) {
    const progress = (share: number): void => onProgress?.((at + share) / thresholds.length);
    const found = await acdc(engine, data, edges, { ...rest, runs, threshold, onProgress: progress });
    forwards += found.forwards;
    for (const edge of found.edges) {
      const label = edgeLabel(edge);
      largest.set(label, Math.max(threshold, largest.get(label) ?? 0));
    }
  }
  return edgeScores({
    method: `ACDC over ${thresholds.length} thresholds`,
    edges,
    scores: Float64Array.from(edges, (edge) => largest.get(edgeLabel(edge)) ?? 0),
    sign: 'rank',
    ablation: rest.ablation,
    metric: rest.metric,
    forwards,
    backwards: 0,
  });
}
