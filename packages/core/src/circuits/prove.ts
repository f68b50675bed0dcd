import { type Ablation, CircuitscopeError } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { holm, meanInterval, permutationP, quantile, ratioInterval } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';
import { complement } from './discover.ts';
import type { Bounds } from './edge-effects.ts';
import { cutEdges, type MeasureOptions, type Metric, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import { relabelled, sizeMatched } from './random-circuits.ts';
import type { TaskData } from './task-data.ts';

/** A statistic of the circuit beside the same of circuits that were drawn at random. */
export interface AgainstRandom {
  readonly count: number;
  readonly values: readonly number[];
  readonly mean: number;
  /** Middle 95 % of the random circuits' values. */
  readonly interval: readonly [number, number];
  readonly max: number;
  /** (1 + random circuits at least as good) / (1 + all of them). */
  readonly p: number;
}

export interface MinimalityOfEdge {
  readonly edge: Edge;
  /** Metric of the circuit minus that of the circuit without the edge, as a share of the range. */
  readonly drop: number;
  /** Sign-flip permutation over examples, Holm-corrected over the circuit's edges. */
  readonly p: number;
}

/** Faithfulness and its kin, all as shares of the range between the fully cut and the whole model, on the given data. */
export interface Proof {
  readonly metric: Metric;
  readonly ablation: Ablation;
  readonly examples: number;
  readonly whole: number;
  readonly empty: number;
  /** False where the interval of whole − empty covers 0: the model may not do the task, and shares of it mean nothing. */
  readonly measurable: boolean;
  readonly faithfulness: {
    readonly value: number;
    readonly interval: Bounds | null;
    readonly random: AgainstRandom;
    readonly relabelled: AgainstRandom | null;
  };
  /** The complement alone: what is left when exactly the circuit is cut. Near 0 for a complete circuit. */
  readonly complement: { readonly value: number; readonly interval: Bounds | null };
  /** |F(C∖K) − F(M∖K)| over random subsets K of the circuit's edges; 0 for a complete one. `max` bounds the true one from below. */
  readonly completeness: { readonly mean: number; readonly max: number; readonly subsets: number };
  /** By the edge alone (K = ∅): an edge with a stand-in inside the circuit shows no drop. `share`: drop > 0 and p < 0.05. */
  readonly minimality: {
    readonly edges: readonly MinimalityOfEdge[];
    readonly smallest: number;
    readonly share: number;
  };
}

export interface ProveOptions extends MeasureOptions {
  readonly ablation: Ablation;
  readonly metric: Metric;
  readonly seed: number;
  /** Random circuits of each kind; 200 by default. */
  readonly randomCircuits?: number;
  /** Random subsets for completeness; 40 by default. */
  readonly subsets?: number;
}

/**
 * Tests a circuit on data that did not find it. Faithfulness is (m(C) − m(∅)) / (m(M) − m(∅)), a ratio of means over
 * examples with a BCa bootstrap interval, never clamped (Wang et al. 2023; Shi et al. 2024 for the matched random circuits).
 */
export async function proveCircuit(
  engine: Engine,
  data: TaskData,
  all: readonly Edge[],
  circuit: readonly Edge[],
  options: ProveOptions,
): Promise<Proof> {
  const { ablation, metric, seed, randomCircuits = 200, subsets = 40, onProgress, ...rest } = options;
  const runs = await sourceRuns(engine, data, ablation, rest);
  const randoms = sizeMatched(all, circuit.length, randomCircuits, seed);
  const renamed = relabelled(circuit, all, randomCircuits, seed);
  const ks = randomSubsets(circuit, subsets, seed);
  const outside = complement(all, circuit);
  const variants: (readonly Edge[])[] = [
    [],
    all,
    outside,
    circuit,
    ...circuit.map((edge) => [...outside, edge]),
    ...ks.flatMap((k) => [[...outside, ...k], k]),
    ...randoms.map((random) => complement(all, random)),
    ...renamed.map((random) => complement(all, random)),
  ];
  const measured = await measure(
    engine,
    data,
    metric,
    variants.map((cut) => cutEdges(cut, ablation)),
    { ...rest, runs, ...(onProgress ? { onProgress } : {}) },
  );
  const row = (variant: number): Float64Array => rowValues(measured, variant);
  const [whole, empty, alone, rest_] = [row(0), row(1), row(2), row(3)];
  const range = meanOf(whole) - meanOf(empty);
  if (!(Math.abs(range) > 0)) {
    throw new CircuitscopeError(
      'no_range',
      `Cutting every edge leaves the ${metric} of ${data.task.name} as it was, so no circuit can be told from none; choose another metric or ablation.`,
      { at: data.task.name },
    );
  }
  // + 0 turns −0, which a negative range gives, into 0.
  const share = (values: Float64Array): number => (meanOf(values) - meanOf(empty)) / range + 0;
  // A ratio has no interval where its denominator may as well be zero.
  const ofRange = meanInterval(minus(whole, empty), { seed, resamples: 1000 }).interval;
  const measurable = !ofRange || ofRange[0] * ofRange[1] > 0;
  const shareInterval = (values: Float64Array): Bounds | null =>
    measurable ? ratioInterval(minus(values, empty), minus(whole, empty), { seed }).interval : null;

  let next = 4;
  const take = (count: number): Float64Array[] => Array.from({ length: count }, () => row(next++));
  const withoutEdge = take(circuit.length);
  const pairs = take(2 * ks.length);
  const gaps = ks.map((_, index) => Math.abs(share(pairs[2 * index] ?? empty) - share(pairs[2 * index + 1] ?? empty)));
  const faithfulness = share(alone);
  const randomValues = take(randoms.length).map(share);
  const renamedValues = take(renamed.length).map(share);

  // Enough that Holm's factor, the number of edges, leaves room below 0.05; past 500 edges it no longer does.
  const flips = Math.min(20_000, Math.max(2000, 40 * circuit.length));
  const ps = holm(withoutEdge.map((values, index) => signFlip(alone, values, seed + index, flips)));
  const edges = circuit.map(
    (edge, index): MinimalityOfEdge => ({
      edge,
      drop: faithfulness - share(withoutEdge[index] ?? alone),
      p: ps[index] ?? 1,
    }),
  );
  return {
    metric,
    ablation,
    examples: data.examples,
    whole: meanOf(whole),
    empty: meanOf(empty),
    measurable,
    faithfulness: {
      value: faithfulness,
      interval: shareInterval(alone),
      random: against(faithfulness, randomValues),
      relabelled: renamedValues.length > 0 ? against(faithfulness, renamedValues) : null,
    },
    complement: { value: share(rest_), interval: shareInterval(rest_) },
    completeness: { mean: gaps.length > 0 ? meanOf(gaps) : 0, max: Math.max(0, ...gaps), subsets: gaps.length },
    minimality: {
      edges,
      smallest: edges.length > 0 ? Math.min(...edges.map(({ drop }) => drop)) : 0,
      share: edges.filter(({ drop, p }) => drop > 0 && p < 0.05).length / Math.max(edges.length, 1),
    },
  };
}

/** As good means at least as close to what the whole model does. */
function against(value: number, values: readonly number[]): AgainstRandom {
  const distance = Math.abs(1 - value);
  const asGood = values.filter((other) => Math.abs(1 - other) <= distance).length;
  return {
    count: values.length,
    values,
    mean: meanOf(values),
    interval: [quantile(values, 0.025), quantile(values, 0.975)],
    max: Math.max(...values),
    p: (1 + asGood) / (1 + values.length),
  };
}

function minus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value - (b[index] ?? 0));
}

function randomSubsets(circuit: readonly Edge[], count: number, seed: number): Edge[][] {
  const rng = new Rng(seed, 'circuits/completeness');
  return Array.from({ length: count }, () => circuit.filter(() => rng.below(2) === 1));
}

/** Two-sided p of the mean paired difference under random signs, with the +1; exact zeros stay zeros. */
function signFlip(a: Float64Array, b: Float64Array, seed: number, flips: number): number {
  const rng = new Rng(seed, 'circuits/sign-flip');
  const differences = minus(a, b);
  const flipped = Float64Array.from({ length: flips }, () => {
    let sum = 0;
    let word = 0;
    for (const [index, difference] of differences.entries()) {
      if (index % 32 === 0) word = rng.uint32();
      sum += (word >>> (index % 32)) & 1 ? difference : -difference;
    }
    return sum / differences.length;
  });
  return permutationP(meanOf(differences), flipped, 'two_sided').p;
}
