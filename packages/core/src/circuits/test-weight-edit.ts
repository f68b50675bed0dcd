import { CircuitscopeError, type Intervention, readerLabel } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { meanInterval } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';
import { breakingEdit, randomEdit } from './breaking-edit.ts';
import type { Bounds } from './edge-effects.ts';
import { cutEdges, type MeasureOptions, type Metric, meanOf, meanValue, measure, rowValues } from './measure.ts';
import type { TaskData } from './task-data.ts';

export interface WeightEditTest {
  /** The edges that the edit takes away: one writer into one kind of port of one or more heads. */
  readonly edges: readonly Edge[];
  /** Names of the edited weights. */
  readonly params: readonly string[];
  /** Dimensions of the stream that each reader can no longer read. */
  readonly rank: number;
  readonly interventions: readonly Intervention[];
  readonly metric: Metric;
  readonly before: number;
  /** Written down before the edit ran: the metric with these edges cut to zero. */
  readonly predicted: number;
  readonly after: number;
  /** 95 % of before − after over examples. */
  readonly interval: Bounds | null;
  /** The same edit with random subspaces of the same dimension: mean and range of `after`. */
  readonly controls: {
    readonly count: number;
    readonly mean: number;
    readonly lowest: number;
    readonly highest: number;
  };
  readonly n: number;
}

/**
 * Predicts from cut edges what an edit of their readers' weights will do, then makes the edit, beside random ones: each
 * control takes one random subspace from the same weights.
 * @throws CircuitscopeError `unsupported_edge` unless every edge goes from head to head and ends in a reader of its own
 */
export async function testWeightEdit(
  engine: Engine,
  model: Model,
  data: TaskData,
  edges: readonly Edge[],
  {
    metric,
    seed,
    controls = 20,
    ...options
  }: MeasureOptions & { readonly metric: Metric; readonly seed: number; readonly controls?: number },
): Promise<WeightEditTest> {
  const readers = edges.map(({ to }) => readerLabel(to));
  const twice = readers.find((label, index) => readers.indexOf(label) !== index);
  if (twice !== undefined) {
    throw new CircuitscopeError(
      'unsupported_edge',
      `Two of the edges end in ${twice}; test their writers one after the other, as each edit sets those weights.`,
      { at: twice },
    );
  }
  const first = await measure(engine, data, metric, [[], cutEdges(edges, 'zero')], options);
  const predicted = meanValue(first, 1);
  const edits = edges.map((edge) => breakingEdit(model, edge));
  const rank = Math.max(0, ...edits.map((edit) => edit.rank));
  // The stream of numbers is begun anew for each edge: heads of one layer lose the same random subspace, as in the edit.
  const randoms = Array.from({ length: controls }, (_, index) =>
    edges.map((edge, at) =>
      randomEdit(model, edge, edits[at]?.rank ?? rank, new Rng(seed, `circuits/random-edit/${index}`)),
    ),
  );
  const variants = [edits, ...randoms];
  const artefacts = new Map(variants.flat().map(({ artefact }) => [artefact.hash, artefact.tensor]));
  const edited = await measure(
    engine,
    data,
    metric,
    variants.map((list) => list.flatMap(({ interventions }) => interventions)),
    { ...options, artefacts },
  );
  const before = rowValues(first, 0);
  const after = rowValues(edited, 0);
  const others = randoms.map((_, index) => meanValue(edited, index + 1));
  const interventions = edits.flatMap((edit) => edit.interventions);
  return {
    edges,
    params: [...new Set(interventions.map((edit) => (edit.kind === 'weight' ? edit.param : '')))],
    rank,
    interventions,
    metric,
    before: meanOf(before),
    predicted,
    after: meanOf(after),
    interval: meanInterval(
      before.map((value, index) => value - (after[index] ?? 0)),
      { seed, resamples: 1000 },
    ).interval,
    controls: { count: others.length, mean: meanOf(others), lowest: Math.min(...others), highest: Math.max(...others) },
    n: data.examples,
  };
}
