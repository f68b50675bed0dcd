import {
  type Batch,
  type Floats,
  IGNORED,
  type Metrics,
  type Recipe,
  Rng,
  type Tensor,
  type Trained,
  tokenBatch,
  toyTransformer,
} from '@circuitscope/core';
import { lossesOf, meanLogits, neuronShares, sumSpectrum, tableSpectrum, wavesOfSum } from './addition-spectrum.ts';

// Power et al. 2022, Grokking; Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability.

export const ADDITION_PRIME = 59;
const P = ADDITION_PRIME;
/** Token of the sign "=", where the answer is read. */
const EQUALS = P;
const BOS = P + 1;
/** BOS a b = */
const PLACES = 4;
/** Room for prompts that score heads on repeated tokens; weight decay empties the added places. */
const CONTEXT = 6;
const SHARE = 0.4;
const KEY_FREQUENCIES = 5;
const NEURONS = 'blocks.0.mlp.hook_post';

const sizes = { n_layers: 1, n_heads: 4, d_model: 128, d_head: 32, d_mlp: 256, d_vocab: P + 2, n_ctx: CONTEXT };

const toy = toyTransformer({
  config: { ...sizes, act_fn: 'relu', bos_token_id: BOS },
  initial: (name) => ({ kind: 'normal', deviation: 1 / Math.sqrt(name === 'unembed.W_U' ? P : sizes.d_model) }),
});

/** Pairs in the order of the seed; the first 40 % are trained on. */
export function additionSplit(seed: number): { readonly train: readonly number[]; readonly test: readonly number[] } {
  const order = Array.from({ length: P * P }, (_, at) => at);
  const rng = new Rng(seed, 'modular-addition.split');
  for (let at = order.length - 1; at > 0; at--) {
    const other = rng.below(at + 1);
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
  const count = Math.floor(SHARE * order.length);
  return { train: order.slice(0, count), test: order.slice(count) };
}

function batchOf(pairs: readonly number[]): Batch {
  const rows = pairs.map((pair) => [BOS, Math.floor(pair / P), pair % P, EQUALS]);
  return tokenBatch(
    rows,
    rows.map(([, a = 0, b = 0]) => [IGNORED, IGNORED, IGNORED, (a + b) % P]),
  );
}

const batches = new Map<number, Batch>();

function trainingBatch(seed: number): Batch {
  const known = batches.get(seed) ?? batchOf(additionSplit(seed).train);
  batches.set(seed, known);
  return known;
}

const everyPair = Array.from({ length: P * P }, (_, at) => at);

async function measured({ seed, measure, weights }: Trained): Promise<Metrics> {
  const { sites } = await measure(batchOf(everyPair), ['logits', NEURONS]);
  return additionMeasures({
    seed,
    logits: atEquals(sites.get('logits'), P),
    neurons: atEquals(sites.get(NEURONS), sizes.d_mlp),
    embedding: weights.get('embed.W_E')?.data ?? new Float64Array(),
  });
}

export interface AdditionActivations {
  /** Decides which pairs were trained on. */
  readonly seed: number;
  /** At `=`, over all pairs: [p², p] and [p², neurons]. */
  readonly logits: Floats;
  readonly neurons: Floats;
  /** W_E [p + 2, model]. */
  readonly embedding: Floats;
}

/**
 * Loss and accuracy on both parts. Key frequencies are the five of most power in W_E. Restricted loss: of logits that keep
 * nothing but their mean and the key frequencies of a + b, over all pairs; excluded loss: of logits without those frequencies,
 * over the training pairs. Shares of the power of W_E and of the logits that are in the key frequencies. Of the neurons that
 * move at all, how much of the variance the one frequency that explains most explains (mean), and how many have 85 %.
 */
export function additionMeasures({ seed, logits, neurons, embedding }: AdditionActivations): Metrics {
  const { train, test } = additionSplit(seed);
  const spectrum = tableSpectrum(embedding, P, sizes.d_model);
  const key = keyFrequencies(embedding);
  const total = spectrum.reduce((a, b) => a + b, 0);
  const keyWaves = wavesOfSum(logits, P, key);
  const mean = meanLogits(logits, P);
  const restricted = keyWaves.map((value, at) => value + (mean[at % P] ?? 0));
  const excluded = Float64Array.from(logits, (value, at) => value - (keyWaves[at] ?? 0));
  const [onTrain, onTest] = [lossesOf(logits, P, train), lossesOf(logits, P, test)];
  const sums = sumSpectrum(logits, P);
  const ofSums = sums.reduce((a, b) => a + b, 0);
  const inKey = (power: Float64Array): number => key.reduce((sum, frequency) => sum + (power[frequency - 1] ?? 0), 0);
  const best = bestShares(neuronShares(neurons, P, sizes.d_mlp));
  return rounded({
    train_loss: onTrain.loss,
    test_loss: onTest.loss,
    train_accuracy: onTrain.accuracy,
    test_accuracy: onTest.accuracy,
    restricted_loss: lossesOf(restricted, P, everyPair).loss,
    excluded_loss: lossesOf(excluded, P, train).loss,
    key_share_of_embedding: inKey(spectrum) / total,
    key_share_of_logits: ofSums === 0 ? 0 : inKey(sums) / ofSums,
    neuron_variance_at_one_frequency: best.reduce((sum, share) => sum + share, 0) / Math.max(best.length, 1),
    neurons_of_one_frequency: best.filter((share) => share > 0.85).length / sizes.d_mlp,
  });
}

/** The five frequencies of most power in W_E, the strongest first. */
export function keyFrequencies(embedding: Floats): number[] {
  const spectrum = tableSpectrum(embedding, P, sizes.d_model);
  const order = [...spectrum.keys()].sort((a, b) => (spectrum[b] ?? 0) - (spectrum[a] ?? 0));
  return order.slice(0, KEY_FREQUENCIES).map((at) => at + 1);
}

/** [pair, columns] of a site [pair, places, …]: its first columns at `=`. */
function atEquals(site: Tensor | undefined, columns: number): Float64Array {
  const width = site?.shape.at(-1) ?? 0;
  const at = new Float64Array(P * P * columns);
  for (let pair = 0; pair < P * P; pair++) {
    const from = (PLACES * pair + PLACES - 1) * width;
    at.set(site?.data.subarray(from, from + columns) ?? new Float64Array(), pair * columns);
  }
  return at;
}

/** The largest share of each neuron that any frequency explains something of. */
function bestShares(shares: Float64Array): number[] {
  return Array.from({ length: sizes.d_mlp }, (_, neuron) => {
    let best = 0;
    for (let at = neuron; at < shares.length; at += sizes.d_mlp) best = Math.max(best, shares[at] ?? 0);
    return best;
  }).filter((share) => share > 0);
}

/** Six digits: logarithms of different runtimes differ in the last of sixteen. */
function rounded(metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, Number(value.toPrecision(6))]));
}

export const modularAdditionRecipe: Recipe = {
  name: 'modular-addition',
  title: 'Addition modulo 59, which is first learnt by heart',
  shows:
    'Training accuracy is perfect long before test accuracy moves; then a few frequencies of a + b carry the answer (restricted loss falls, excluded loss rises).',
  config: { ...sizes, p: P, train_share: SHARE, key_frequencies: KEY_FREQUENCIES },
  steps: 8000,
  optimiser: {
    kind: 'adamw',
    learningRate: 1e-3,
    betas: [0.9, 0.98],
    eps: 1e-8,
    weightDecay: 1,
    decays: 'all',
    clip: null,
  },
  schedule: { kind: 'warmup', warmup: 10, decay: 'none' },
  every: { log: 200, evaluate: 200, checkpoint: 1000 },
  model: toy.model,
  batch: (seed) => trainingBatch(seed),
  evaluate: measured,
  export: toy.export,
};
