import { type Ablation, edgeLabel, unitLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { type EdgeEffects, edgeEffects } from './edge-effects.ts';
import type { EdgeScores } from './edge-scores.ts';
import { cutEdges, type MeasureOptions, type Metric, meanValue, measure, sourceRuns } from './measure.ts';
import { type HeadCounts, headCounts, queryHeads } from './query-heads.ts';
import type { TaskData } from './task-data.ts';

/**
 * How edges are left out.
 * `threshold`: keep each edge whose exact effect, cut alone, is larger than τ in size.
 * `backward`: go through the edges from the logits down, weakest first within a layer's attention or MLP; drop an edge for
 * good if the circuit then still recovers at least `recover` of what the whole model has over the fully cut one.
 * Under both, edges that lie on no path from the input to the logits go too, and a circuit is judged without them.
 */
export type PruneBy =
  | { readonly rule: 'threshold'; readonly threshold: number }
  | { readonly rule: 'backward'; readonly recover: number };

/** How edges were left out by methods that do not cut every edge: see `discoverBy`. */
export type KeptBy =
  | PruneBy
  | { readonly rule: 'best'; readonly recover: number }
  | { readonly rule: 'acdc'; readonly threshold: number };

export interface Discovered {
  readonly edges: readonly Edge[];
  /** Exact effects: of every edge, or of the best that were kept where a ranking found them. */
  readonly effects: EdgeEffects;
  readonly prune: KeptBy;
  /** The scores that edges were kept by, where these are estimates. */
  readonly ranking?: EdgeScores;
  /** Metric of the whole model, of the circuit alone and with every edge cut, on the data that found it. */
  readonly whole: number;
  readonly alone: number;
  readonly empty: number;
}

export interface DiscoverOptions extends MeasureOptions {
  readonly ablation: Ablation;
  readonly metric: Metric;
  readonly prune: PruneBy;
}

export async function discoverCircuit(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: DiscoverOptions,
): Promise<Discovered> {
  const { ablation, metric, prune, onProgress, ...rest } = options;
  const runs = await sourceRuns(engine, data, ablation, rest);
  const shared = { ...rest, runs };
  const effects = await edgeEffects(engine, data, edges, {
    ...shared,
    ablation,
    metric,
    onProgress: (share) => onProgress?.(share * (prune.rule === 'threshold' ? 1 : 0.3)),
  });
  const ends = await measure(engine, data, metric, [[], cutEdges(edges, ablation)], shared);
  const whole = meanValue(ends, 0);
  const empty = meanValue(ends, 1);
  const counts = headCounts(edges);
  const score = async (trials: readonly (readonly Edge[])[]): Promise<number[]> => {
    const variants = trials.map((circuit) => cutEdges(complement(edges, connected(circuit, counts)), ablation));
    const measured = await measure(engine, data, metric, variants, shared);
    return variants.map((_, variant) => meanValue(measured, variant));
  };
  const found =
    prune.rule === 'threshold'
      ? effects.effects.filter(({ effect }) => Math.abs(effect) > prune.threshold).map(({ edge }) => edge)
      : await eliminate(
          backwardOrder(effects),
          empty + prune.recover * (whole - empty),
          Math.sign(whole - empty),
          score,
          (share) => onProgress?.(0.3 + 0.7 * share),
        );
  const kept = connected(found, counts);
  const [alone = Number.NaN] = await score([kept]);
  return { edges: kept, effects, prune, whole, alone, empty };
}

export function complement(all: readonly Edge[], circuit: readonly Edge[]): Edge[] {
  const inside = new Set(circuit.map(edgeLabel));
  return all.filter((edge) => !inside.has(edgeLabel(edge)));
}

/** Readers from the logits down; among those of one depth the weakest edge first. */
function backwardOrder({ effects }: EdgeEffects): Edge[] {
  const depth = ({ to }: Edge): number =>
    to.kind === 'logits' ? Number.POSITIVE_INFINITY : 2 * to.layer + (to.kind === 'mlp' ? 1 : 0);
  const label = (edge: Edge): string => edgeLabel(edge);
  return [...effects]
    .sort(
      (a, b) =>
        compare(depth(b.edge), depth(a.edge)) ||
        Math.abs(a.effect) - Math.abs(b.effect) ||
        (label(a.edge) < label(b.edge) ? -1 : 1),
    )
    .map(({ edge }) => edge);
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Drops edges in order. Runs of 1, 2, 4, … edges are tried together, and the longest that may all go is dropped. */
async function eliminate(
  order: readonly Edge[],
  limit: number,
  sign: number,
  score: (circuits: readonly (readonly Edge[])[]) => Promise<number[]>,
  onProgress: (share: number) => void,
): Promise<Edge[]> {
  let kept = [...order];
  let next = 0;
  while (next < order.length) {
    const counts: number[] = [];
    for (let count = 1; next + count <= order.length; count *= 2) counts.push(count);
    const trials = counts.map((count) => complement(kept, order.slice(next, next + count)));
    const scores = await score(trials);
    const failed = scores.findIndex((value) => sign * (value - limit) < 0);
    const passed = failed < 0 ? trials.length : failed;
    if (passed > 0) kept = trials[passed - 1] ?? kept;
    next += passed > 0 ? (counts[passed - 1] ?? 1) : 1;
    onProgress(next / order.length);
  }
  return kept;
}

/**
 * Edges on a path from the input to the logits; what leads nowhere is dropped.
 * @param counts heads of each layer where query heads share keys and values, see {@link headCounts}; else left out
 */
export function connected(edges: readonly Edge[], counts: ReadonlyMap<number, HeadCounts> = new Map()): Edge[] {
  let kept = edges.map((edge) => ({ edge, from: unitLabel(edge.from), into: unitsBehind(edge.to, counts) }));
  for (;;) {
    const fed = new Set(['input', ...kept.flatMap(({ into }) => into)]);
    const read = new Set(['logits', ...kept.map(({ from }) => from)]);
    const next = kept.filter(({ from, into }) => fed.has(from) && into.some((unit) => read.has(unit)));
    if (next.length === kept.length) return kept.map(({ edge }) => edge);
    kept = next;
  }
}

/** Labels of the units that a reader feeds; its ports are ways into them. */
export function unitsBehind(reader: Edge['to'], counts: ReadonlyMap<number, HeadCounts>): string[] {
  switch (reader.kind) {
    case 'head': {
      const { layer } = reader;
      const heads = queryHeads(reader, counts.get(layer) ?? { heads: 1, kvHeads: 1 });
      return heads.map((head) => unitLabel({ kind: 'head', layer, head }));
    }
    case 'mlp':
      return [unitLabel({ kind: 'mlp', layer: reader.layer })];
    case 'logits':
      return ['logits'];
  }
}
