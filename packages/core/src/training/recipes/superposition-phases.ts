import { CircuitscopeError } from '@circuitscope/schema';
import type { Executor } from '../../plan/index.ts';
import { Rng, type Tensor } from '../../tensor/index.ts';
import { train } from '../train.ts';
import { antipodalLoss, dedicatedLoss } from './superposition-bounds.ts';
import { featureGeometry, type ToySuperpositionOptions, toySuperposition } from './toy-superposition.ts';

export type ToySizes = Pick<ToySuperpositionOptions, 'features' | 'hidden' | 'sparsity' | 'decay'>;

export interface BestOfSeeds {
  readonly seed: number;
  /** Of the best, over `SAMPLES` examples of their own. */
  readonly loss: number;
  /** Of every seed, in their order. */
  readonly losses: readonly number[];
  readonly weights: ReadonlyMap<string, Tensor>;
}

export interface BestOfSeedsOptions {
  readonly executor: Executor;
  readonly seeds: readonly number[];
  readonly steps: number;
  readonly threads?: number;
}

const SAMPLES = 200_000;

/** Trains one toy from several starts: of several minima the lowest counts. */
export async function bestOfSeeds(sizes: ToySizes, options: BestOfSeedsOptions): Promise<BestOfSeeds> {
  const { executor, seeds, steps, threads } = options;
  const recipe = toySuperposition({ ...sizes, name: 'toy-superposition-sweep', title: '', shows: '' });
  // Nothing is looked at on the way.
  const quiet = { ...recipe, every: { log: steps, evaluate: steps, checkpoint: steps } };
  const losses: number[] = [];
  let best: Omit<BestOfSeeds, 'losses'> | undefined;
  for (const seed of seeds) {
    const { weights } = await train(quiet, { executor, seed, steps, ...(threads ? { threads } : {}) });
    const loss = superpositionLoss(weights, sizes);
    losses.push(loss);
    if (!best || loss < best.loss) best = { seed, loss, weights };
  }
  if (!best) throw new CircuitscopeError('no_seeds', 'The best of no seeds is nothing; give at least one.');
  return { ...best, losses };
}

/** Loss over `SAMPLES` examples that no training sees, in float64. */
export function superpositionLoss(
  weights: ReadonlyMap<string, Tensor>,
  { features, hidden, sparsity, decay }: ToySizes,
  samples = SAMPLES,
): number {
  const W = weights.get('W')?.data ?? [];
  const b = weights.get('b_final')?.data ?? [];
  const rng = new Rng(0, 'toy-superposition/measured');
  const [x, h] = [new Float64Array(features), new Float64Array(hidden)];
  let total = 0;
  for (let sample = 0; sample < samples; sample++) {
    for (let i = 0; i < features; i++) {
      const drawn = rng.float();
      x[i] = drawn < sparsity ? 0 : (drawn - sparsity) / (1 - sparsity);
    }
    for (let k = 0; k < hidden; k++) {
      let sum = 0;
      for (let i = 0; i < features; i++) sum += (W[k * features + i] ?? 0) * (x[i] ?? 0);
      h[k] = sum;
    }
    let importance = 1;
    for (let i = 0; i < features; i++) {
      let sum = b[i] ?? 0;
      for (let k = 0; k < hidden; k++) sum += (W[k * features + i] ?? 0) * (h[k] ?? 0);
      total += importance * ((x[i] ?? 0) - Math.max(sum, 0)) ** 2;
      importance *= decay;
    }
  }
  return total / samples;
}

/** Two features in one dimension, by their ratio of importance and the probability that one is active. */
export interface PhaseCell {
  readonly ratio: number;
  readonly probability: number;
  /** Of the best seed. */
  readonly loss: number;
  /** What the two plain solutions cost. */
  readonly dedicated: number;
  readonly antipodal: number;
  /** What was learnt, by the norm of the feature that stands worse: below 0.5 it is not there. */
  readonly found: 'dedicated' | 'antipodal';
  readonly smallerNorm: number;
}

/** One cell of the phase diagram of two features in one dimension, the best of the seeds. */
export async function phaseCell(
  { ratio, probability }: Pick<PhaseCell, 'ratio' | 'probability'>,
  options: BestOfSeedsOptions,
): Promise<PhaseCell> {
  const { loss, weights } = await bestOfSeeds(
    { features: 2, hidden: 1, sparsity: 1 - probability, decay: ratio },
    options,
  );
  const W = weights.get('W');
  const smallerNorm = W ? Math.min(...featureGeometry(W).norms) : 0;
  return {
    ratio,
    probability,
    loss,
    dedicated: dedicatedLoss(ratio, probability),
    antipodal: antipodalLoss(ratio, probability),
    found: smallerNorm < 0.5 ? 'dedicated' : 'antipodal',
    smallerNorm,
  };
}
