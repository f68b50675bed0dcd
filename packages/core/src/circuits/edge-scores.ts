import { type Ablation, CircuitscopeError, edgeLabel, type Sign, type UnitRef, unitLabel } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { composition } from './composition.ts';
import { edgeEffects } from './edge-effects.ts';
import { cutEdges, type MeasureOptions, type Metric, meanValue, measure, sourceRuns } from './measure.ts';
import { queryHeads } from './query-heads.ts';
import type { TaskData } from './task-data.ts';

// One form for what every discovery method says of every edge, so that a judge can rank edges without knowing the method.

/**
 * What the sign of a score means: as for edge weights, or `rank` where only the order of the scores counts, larger being
 * more important (the round in which an edge went, a threshold that it survived).
 */
export type ScoreSign =
  | Extract<Sign, 'clean_minus_cut' | 'cut_minus_clean' | 'signed_weight' | 'unsigned_norm'>
  | 'rank';

export interface EdgeScores {
  /** For people and for columns: `exact patch effect`, `EAP`, `EAP-IG, 5 steps`. */
  readonly method: string;
  readonly edges: readonly Edge[];
  /** One an edge, in their order; NaN where the method says nothing of an edge, which is not the same as 0. */
  readonly scores: Float64Array;
  readonly sign: ScoreSign;
  /** null where no run was changed. */
  readonly ablation: Ablation | null;
  /** null where no metric was read. */
  readonly metric: Metric | 'kl' | null;
  /**
   * What the scores cost: passes of all examples of the task through the model, changed or not; the runs that ablations
   * take their values from count too. A sweep may compute what its variants share once: that is not taken off.
   */
  readonly forwards: number;
  readonly backwards: number;
}

/** Checks the lengths and that no score is infinite. Every method ends here. */
export function edgeScores(scores: EdgeScores): EdgeScores {
  const { method, edges, scores: values } = scores;
  if (values.length !== edges.length) {
    throw new CircuitscopeError('bad_scores', `${method} scored ${values.length} edges of ${edges.length}.`, {
      at: method,
      expected: String(edges.length),
      got: String(values.length),
    });
  }
  const infinite = values.findIndex(
    (value) => value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY,
  );
  const edge = edges[infinite];
  if (edge)
    throw new CircuitscopeError(
      'bad_scores',
      `${method} gave ${edgeLabel(edge)} an infinite score; give NaN to an edge it says nothing of.`,
      { at: edgeLabel(edge), got: String(values[infinite]) },
    );
  return scores;
}

/** How much an edge matters by a method, larger being more; NaN stays. Scores with a direction count by their size. */
export function importance({ sign, scores }: EdgeScores): Float64Array {
  return sign === 'rank' || sign === 'unsigned_norm' ? scores.slice() : scores.map(Math.abs);
}

/** Scores as whole minus cut; null where the method has no direction that could agree or disagree with an effect. */
export function asEffects({ sign, scores }: EdgeScores): Float64Array | null {
  switch (sign) {
    case 'clean_minus_cut':
      return scores.slice();
    case 'cut_minus_clean':
      // 0 − x and not −x: an edge without effect is 0, not −0.
      return scores.map((value) => 0 - value);
    default:
      return null;
  }
}

export interface ScoreOptions extends MeasureOptions {
  readonly ablation: Ablation;
  readonly metric: Metric;
}

/** The exact effect of each edge cut alone: the reference that cheaper methods estimate. */
export async function exactPatchScores(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: ScoreOptions,
): Promise<EdgeScores> {
  const { effects } = await edgeEffects(engine, data, edges, options);
  return edgeScores({
    method: 'exact patch effect',
    edges,
    scores: Float64Array.from(effects, ({ effect }) => effect),
    sign: 'clean_minus_cut',
    ablation: options.ablation,
    metric: options.metric,
    forwards: 1 + edges.length + sourcePasses(options.ablation),
    backwards: 0,
  });
}

/** Passes that the values of an ablation cost. */
export function sourcePasses(ablation: Ablation): number {
  return ablation === 'zero' ? 0 : 1;
}

/** Exact effects of units, whole minus cut: all edges that a unit writes cut together. By label of the unit. */
export async function unitEffects(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { ablation, metric, ...options }: ScoreOptions,
): Promise<ReadonlyMap<string, number>> {
  const runs = options.runs ?? (await sourceRuns(engine, data, ablation, options));
  const written = new Map<string, Edge[]>();
  for (const edge of edges) {
    const unit = unitLabel(edge.from);
    written.set(unit, [...(written.get(unit) ?? []), edge]);
  }
  const variants = [[], ...[...written.values()].map((list) => cutEdges(list, ablation))];
  const measured = await measure(engine, data, metric, variants, { ...options, runs });
  return new Map([...written.keys()].map((unit, at) => [unit, meanValue(measured, 0) - meanValue(measured, at + 1)]));
}

/** Scores of units, and what they cost. */
export interface UnitScores extends Omit<EdgeScores, 'edges' | 'scores'> {
  /** By label of the unit. */
  readonly units: ReadonlyMap<string, number>;
}

/**
 * Node scores lifted to edges, as a node method has no say between the edges of one unit. `writer`: an edge has the score
 * of the unit that writes it. `weaker`: the score of that of its two ends whose score is smaller in size, as an edge can
 * matter no more than both its ends; the logits, and ends without a score, do not count, and an edge with no scored end
 * stays unscored. Where query heads share a key, the end that reads is the strongest of them.
 */
export function liftToEdges(
  edges: readonly Edge[],
  { units, method, ...about }: UnitScores,
  by: 'writer' | 'weaker',
  readersOf: (reader: Edge['to']) => readonly UnitRef[] = ownUnit,
): EdgeScores {
  const scoreOf = (unit: UnitRef): number => units.get(unitLabel(unit)) ?? Number.NaN;
  const scores = Float64Array.from(edges, ({ from, to }) => {
    const writer = scoreOf(from);
    if (by === 'writer') return writer;
    const reader = readersOf(to).map(scoreOf).reduce(stronger, Number.NaN);
    if (Number.isNaN(reader)) return writer;
    return Math.abs(reader) < Math.abs(writer) || Number.isNaN(writer) ? reader : writer;
  });
  return edgeScores({
    method: `${method}, of the ${by === 'writer' ? 'writer' : 'weaker end'}`,
    edges,
    scores,
    ...about,
  });
}

function stronger(a: number, b: number): number {
  return Number.isNaN(a) || Math.abs(b) > Math.abs(a) ? b : a;
}

function ownUnit(reader: Edge['to']): UnitRef[] {
  switch (reader.kind) {
    case 'head':
      return [{ kind: 'head', layer: reader.layer, head: reader.head }];
    case 'mlp':
      return [{ kind: 'mlp', layer: reader.layer }];
    case 'logits':
      return [];
  }
}

/**
 * Composition, ‖W_OV R‖ / (‖W_OV‖ ‖R‖), of every edge between heads; the others have none. No run is needed and no sign
 * comes of it. Of query heads that share a key, the strongest counts.
 */
export function compositionScores(model: Model, edges: readonly Edge[]): EdgeScores {
  const { heads, kvHeads } = model.spec;
  const scores = Float64Array.from(edges, ({ from, to }) => {
    if (from.kind !== 'head' || to.kind !== 'head') return Number.NaN;
    const readers = queryHeads(to, { heads, kvHeads });
    return Math.max(...readers.map((head) => composition(model, from, { layer: to.layer, head }, to.port).raw));
  });
  return edgeScores({
    method: 'composition',
    edges,
    scores,
    sign: 'unsigned_norm',
    ablation: null,
    metric: null,
    forwards: 0,
    backwards: 0,
  });
}

/** Uniform in [0, 1): what a method that knows nothing says. */
export function randomScores(edges: readonly Edge[], seed: number): EdgeScores {
  const rng = new Rng(seed, 'circuits/random-scores');
  return edgeScores({
    method: `random, seed ${seed}`,
    edges,
    scores: Float64Array.from(edges, () => rng.float()),
    sign: 'rank',
    ablation: null,
    metric: null,
    forwards: 0,
    backwards: 0,
  });
}
