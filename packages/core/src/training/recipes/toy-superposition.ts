import { GraphBuilder } from '../../graph/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { batchRng } from '../batch.ts';
import { initialise, zero } from '../initialise.ts';
import { squaredErrorLoss } from '../losses.ts';
import type { Metrics, Recipe } from '../recipe.ts';

// Elhage et al., Toy Models of Superposition, 2022: sparse features through a bottleneck.

export interface ToySuperpositionOptions {
  readonly name: string;
  readonly title: string;
  readonly shows: string;
  readonly features: number;
  readonly hidden: number;
  /** Probability that a feature is 0 in an example; else it is uniform in [0, 1). */
  readonly sparsity: number;
  /** Importance of feature i is decay^i. */
  readonly decay: number;
}

const BATCH = 1024;
const STEPS = 4000;

/** x' = ReLU(Wᵀ·W·x + b) with W [hidden, features]; loss Σ_i decay^i·(x_i − x'_i)², the mean over examples. */
export function toySuperposition(options: ToySuperpositionOptions): Recipe {
  const { name, title, shows, features, hidden, sparsity, decay } = options;
  const builder = new GraphBuilder();
  const x = builder.input('x', { shape: ['batch', features], dtype: 'f32' });
  const W = builder.param('W', [hidden, features]);
  const b = builder.param('b_final', [features]);
  const down = { out: [hidden], leading: 1, transposed: true };
  const h = builder.add('linear', [x], { params: [W, null], attrs: down, sites: ['hook_hidden'] });
  const pre = builder.add('linear', [h], {
    params: [W, b],
    attrs: { out: [features], leading: 1 },
    sites: ['hook_pre'],
  });
  const out = builder.add('activation', [pre], { attrs: { fn: 'relu' }, sites: ['hook_out'] });
  const graph = builder.build(out);
  const loss = squaredErrorLoss(graph, { target: { kind: 'node', id: x } });
  const importance = Float32Array.from(powers(decay, features));
  const lossWeights = new Float64Array(BATCH).fill(1 / BATCH);
  return {
    name,
    title,
    shows,
    config: { features, hidden, sparsity, decay, batch: BATCH },
    steps: STEPS,
    optimiser: {
      kind: 'adamw',
      learningRate: 5e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      decays: 'all',
      clip: null,
    },
    schedule: { kind: 'secondHalf' },
    every: { log: 20, evaluate: 100, checkpoint: 500 },
    model: (seed) => ({
      graph,
      loss,
      weights: new Map([
        [W, initialise(seed, W, [hidden, features], { kind: 'xavier' })],
        [b, initialise(seed, b, [features], zero)],
      ]),
    }),
    batch: (seed, step) => {
      const rng = batchRng(seed, step);
      const values = new Float32Array(BATCH * features);
      for (let at = 0; at < values.length; at++) {
        // One draw serves both: above the sparsity, what is left of it is uniform again.
        const drawn = rng.float();
        values[at] = drawn < sparsity ? 0 : (drawn - sparsity) / (1 - sparsity);
      }
      return { batch: BATCH, pos: 1, inputs: { x: values, importance }, lossWeights };
    },
    evaluate: ({ weights }) => geometry(weights.get(W)),
    export: (weights) => ({
      config: { model_type: 'toy_superposition', n_features: features, n_hidden: hidden },
      tensors: weights,
    }),
  };
}

/** More features than these are summed up in the log; the weights tell each. */
const LISTED = 8;

export interface FeatureGeometry {
  /** ‖W_i‖ of each feature. */
  readonly norms: readonly number[];
  /** D_i = ‖W_i‖²/Σ_j(Ŵ_i·W_j)², the share of a hidden dimension that a feature has for itself; they sum to rank W at most. */
  readonly dimensionality: readonly number[];
  /** m/‖W‖², hidden dimensions per feature that is there. */
  readonly dimensionsPerFeature: number;
}

/** How features [hidden, features] stand to each other. */
export function featureGeometry({ shape: [hidden = 0, features = 0], data: W }: Tensor): FeatureGeometry {
  const dot = (i: number, j: number): number => {
    let sum = 0;
    for (let h = 0; h < hidden; h++) sum += (W[h * features + i] ?? 0) * (W[h * features + j] ?? 0);
    return sum;
  };
  const [norms, dimensionality]: [number[], number[]] = [[], []];
  let total = 0;
  for (let i = 0; i < features; i++) {
    const square = dot(i, i);
    total += square;
    let crossing = 0;
    for (let j = 0; j < features; j++) crossing += dot(i, j) * dot(i, j);
    norms.push(Math.sqrt(square));
    dimensionality.push(crossing > 0 ? (square * square) / crossing : 0);
  }
  return { norms, dimensionality, dimensionsPerFeature: total > 0 ? hidden / total : 0 };
}

function geometry(W: Tensor | undefined): Metrics {
  if (!W) return {};
  const { norms, dimensionality, dimensionsPerFeature } = featureGeometry(W);
  const metrics: { [name: string]: number } = {};
  if (norms.length <= LISTED) {
    for (const [i, norm] of norms.entries()) {
      metrics[`norm.${i}`] = norm;
      metrics[`dimensionality.${i}`] = dimensionality[i] ?? 0;
    }
  } else {
    metrics.featuresOfHalfNorm = norms.filter((norm) => norm > 0.5).length;
    metrics.dimensionalitySum = dimensionality.reduce((a, b) => a + b, 0);
  }
  metrics.dimensionsPerFeature = dimensionsPerFeature;
  return metrics;
}

function powers(base: number, count: number): number[] {
  const result: number[] = [];
  for (let power = 1; result.length < count; power *= base) result.push(power);
  return result;
}
