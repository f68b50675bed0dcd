import { type Ablation, edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import type { DiscoveryMethod } from './discover-by.ts';
import { scoresBy } from './discover-by.ts';
import { type EdgeScores, exactPatchScores } from './edge-scores.ts';
import { judgeAgainst } from './judge-edges.ts';
import type { MeasureOptions } from './measure.ts';
import type { GradientMetric } from './metric-target.ts';
import type { TaskData } from './task-data.ts';

/** A method beside one exact pass over all edges. */
export interface EstimateReport {
  readonly method: string;
  readonly scores: EdgeScores;
  readonly ms: number;
  /** Spearman's correlation of sizes with those of the exact effects; null where one side has one size only. */
  readonly rank: number | null;
  /** Of the edges with a sign on both sides, the share with the same one; and how many those are. */
  readonly sameSign: number | null;
  readonly signed: number;
  /** Edges with an exact effect above `negligible` to which the method gives nothing, the largest effect first. */
  readonly missed: readonly string[];
}

export interface EstimatesReport {
  readonly exact: { readonly scores: EdgeScores; readonly ms: number };
  readonly estimates: readonly EstimateReport[];
}

export type Estimate = Exclude<DiscoveryMethod, { kind: 'exact' | 'acdc' }>;

/** Estimates and the exact effects of the same edges: what each costs, and how far they agree. */
export async function compareEstimates(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  methods: readonly Estimate[],
  {
    negligible = 1e-6,
    ...options
  }: MeasureOptions & { readonly ablation: Ablation; readonly metric: GradientMetric; readonly negligible?: number },
): Promise<EstimatesReport> {
  const timed = async (work: () => Promise<EdgeScores>): Promise<{ scores: EdgeScores; ms: number }> => {
    const start = performance.now();
    const scores = await work();
    return { scores, ms: performance.now() - start };
  };
  const exact = await timed(() => exactPatchScores(engine, data, edges, options));
  const estimates: EstimateReport[] = [];
  for (const method of methods) {
    const { scores, ms } = await timed(() => scoresBy(method, engine, data, edges, options));
    const { rank, sameSign, signed } = judgeAgainst(scores, exact.scores, negligible);
    const size = (at: number): number => Math.abs(exact.scores.scores[at] ?? 0);
    const missed = [...edges.keys()]
      .filter((at) => size(at) > negligible && !(Math.abs(scores.scores[at] ?? 0) > negligible))
      .sort((a, b) => size(b) - size(a))
      .flatMap((at) => edges[at] ?? []);
    estimates.push({ method: scores.method, scores, ms, rank, sameSign, signed, missed: missed.map(edgeLabel) });
  }
  return { exact, estimates };
}
