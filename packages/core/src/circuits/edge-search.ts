import { type Ablation, CircuitscopeError, edgeLabel, unitLabel } from '@circuitscope/schema';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { unitsBehind } from './discover.ts';
import { cutEdges, type MeasureOptions, sourceRuns } from './measure.ts';
import { harmOf, type SearchMetric } from './measure-harm.ts';
import { headCounts } from './query-heads.ts';
import type { TaskData } from './task-data.ts';

// What searches share that cut one edge after the other: what is cut, what that harms, who is still read.

export interface SearchOptions extends MeasureOptions {
  readonly ablation: Ablation;
  readonly metric: SearchMetric;
  /** τ: an edge goes for good if cutting it beside those already cut does less harm than this. */
  readonly threshold: number;
  /** By |δ| < τ: an edge that works against the behaviour then stays. False by default. */
  readonly bySize?: boolean;
}

/** One edge's turn. */
export interface SearchStep {
  readonly edge: Edge;
  /** Harm with the edge cut beside those already cut, minus harm without. 0 where the edge was not asked about. */
  readonly delta: number;
  readonly removed: boolean;
  /** False where nothing reads the unit any more that the edge leads into: it goes without a run. */
  readonly asked: boolean;
}

/** What a search found, and what it cost. */
export interface SearchResult {
  /** What stays, in the order that was given. */
  readonly edges: readonly Edge[];
  /** In the order of the search. */
  readonly steps: readonly SearchStep[];
  readonly ablation: Ablation;
  readonly metric: SearchMetric;
  readonly threshold: number;
  /** Harm of the whole model, and of what stays. */
  readonly whole: number;
  readonly alone: number;
  /** Passes of all examples that were run. */
  readonly forwards: number;
  /** Passes that asking one by one would have needed. */
  readonly oneByOne: number;
}

/** The state that searches which remove edges share: what is cut, what that harms, who is still read. */
export interface Search {
  readonly cut: () => readonly Edge[];
  readonly current: () => number;
  readonly harm: (cuts: readonly (readonly Edge[])[]) => Promise<Float64Array>;
  readonly goes: (delta: number) => boolean;
  readonly remove: (edge: Edge, harm?: number) => void;
  /** Whether anything reads a unit that the edge leads into, were `gone` cut too. */
  readonly isRead: (edge: Edge, gone?: readonly Edge[]) => boolean;
  readonly result: (steps: readonly SearchStep[]) => SearchResult;
}

export async function startSearch(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { ablation, metric, threshold, bySize = false, ...options }: SearchOptions,
): Promise<Search> {
  if (Number.isNaN(threshold)) {
    throw new CircuitscopeError(
      'bad_threshold',
      'The threshold of a search is not a number; give the harm that an edge may do.',
      {
        got: 'NaN',
      },
    );
  }
  const runs = options.runs ?? (await sourceRuns(engine, data, ablation, options));
  const measureHarm = await harmOf(engine, data, metric, { ...options, runs });
  let forwards = 0;
  const harm = (cuts: readonly (readonly Edge[])[]): Promise<Float64Array> => {
    forwards += cuts.length;
    return cuts.length === 0
      ? Promise.resolve(new Float64Array(0))
      : measureHarm(cuts.map((cut) => cutEdges(cut, ablation)));
  };
  const [whole = Number.NaN] = await harm([[]]);
  // Edges that the search was not given stay, and are read for good.
  const all = edgesOf(decompose(engine.graph));
  const counts = headCounts(all);
  const readersOf = new Map<string, number>();
  for (const { from } of all) readersOf.set(unitLabel(from), (readersOf.get(unitLabel(from)) ?? 0) + 1);
  const cut: Edge[] = [];
  let current = whole;
  return {
    cut: () => cut,
    current: () => current,
    harm,
    goes: (delta) => (bySize ? Math.abs(delta) : delta) < threshold,
    remove: (edge, after = current) => {
      cut.push(edge);
      current = after;
      readersOf.set(unitLabel(edge.from), (readersOf.get(unitLabel(edge.from)) ?? 0) - 1);
    },
    isRead: ({ to }, gone = []) =>
      to.kind === 'logits' ||
      unitsBehind(to, counts).some((unit) => {
        const lost = gone.filter(({ from }) => unitLabel(from) === unit).length;
        return (readersOf.get(unit) ?? 0) > lost;
      }),
    result: (steps) => {
      const gone = new Set(cut.map(edgeLabel));
      const source = (ablation === 'zero' || options.runs ? 0 : 1) + (metric === 'kl' ? 1 : 0);
      return {
        edges: edges.filter((edge) => !gone.has(edgeLabel(edge))),
        steps,
        ablation,
        metric,
        threshold,
        whole,
        alone: current,
        forwards: forwards + source,
        oneByOne: 1 + source + steps.filter((step) => step.asked).length,
      };
    },
  };
}
