import {
  type Metrics,
  type Recipe,
  scoreHeads,
  type Trained,
  tokenBatch,
  toyTransformer,
  type WeightInitialiser,
} from '@circuitscope/core';
import { BOS, CONTEXT, repeatedWords, sequence, streams, VOCABULARY } from './induction-language.ts';

// Small language models that learn induction; Elhage et al. 2021, Olsson et al. 2022 (the phase change, head scores).

interface Induction {
  readonly name: string;
  readonly title: string;
  readonly shows: string;
  readonly heads: number;
  readonly width: number;
  readonly headWidth: number;
  /** Width of the MLPs; 0 for attention alone. */
  readonly inner: number;
  readonly steps: number;
  readonly learningRate: number;
}

const BATCH = 32;
const LAYERS = 2;
/** Of the repeats that are measured on: BOS, 31 words, the same 31 again. */
const HALF = 31;
const MEASURED = 64;

const repeats = tokenBatch(Array.from({ length: MEASURED }, (_, index) => repeatedWords(index, HALF)));
const text = tokenBatch(Array.from({ length: MEASURED }, (_, index) => sequence(streams.evaluationText, index, 0)));

function inductionRecipe({
  name,
  title,
  shows,
  heads,
  width,
  headWidth,
  inner,
  steps,
  learningRate,
}: Induction): Recipe {
  const sizes = {
    n_layers: LAYERS,
    n_heads: heads,
    d_model: width,
    d_head: headWidth,
    d_vocab: VOCABULARY,
    n_ctx: CONTEXT,
    bos_token_id: BOS,
    ...(inner > 0 ? { d_mlp: inner, act_fn: 'gelu' } : {}),
  };
  const toy = toyTransformer({
    config: sizes,
    biases: inner > 0 ? ['mlp'] : [],
    initial: startOf,
  });
  return {
    name,
    title,
    shows,
    config: { ...sizes, batch: BATCH, language: 1 },
    steps,
    optimiser: {
      kind: 'adamw',
      learningRate,
      betas: [0.9, 0.98],
      eps: 1e-8,
      weightDecay: 0.05,
      decays: 'all',
      clip: 1,
    },
    schedule: { kind: 'warmup', warmup: 200, decay: 'cosine' },
    every: { log: 50, evaluate: 100, checkpoint: 1000 },
    model: toy.model,
    batch: (seed, step) =>
      tokenBatch(Array.from({ length: BATCH }, (_, row) => sequence(streams.train + seed, step * BATCH + row))),
    evaluate: (trained) => measured(trained, { vocab: VOCABULARY, context: CONTEXT, layers: LAYERS, heads }),
    export: toy.export,
  };
}

/** Positions start large: a head that finds the previous position forms late otherwise. */
function startOf(name: string): WeightInitialiser {
  if (name === 'embed.W_E') return { kind: 'normal', deviation: 0.3 };
  if (name === 'pos_embed.W_pos') return { kind: 'normal', deviation: 1.5 };
  if (/\.b_/.test(name)) return { kind: 'constant', value: 0 };
  return /\.mlp\./.test(name) ? { kind: 'xavier' } : { kind: 'normal', deviation: 0.125 };
}

/**
 * Loss on repeats by half, in nats: the second half is what induction foretells. `loss_in_context` is the loss at its end
 * less that at its beginning. Head scores as the mean attention on the previous token and on the token after the earlier copy.
 */
async function measured(
  { engine, run, measure }: Trained,
  size: { readonly vocab: number; readonly context: number; readonly layers: number; readonly heads: number },
): Promise<Metrics> {
  const { losses } = await measure(repeats);
  const pos = repeats.pos;
  const mean = (from: number, to: number): number => {
    let sum = 0;
    for (let example = 0; example < MEASURED; example++) {
      for (let at = from; at < to; at++) sum += losses[example * pos + at] ?? 0;
    }
    return sum / (MEASURED * (to - from));
  };
  const scores = await scoreHeads(engine, size, { seed: 0, bos: BOS, examples: 16, resamples: 20, run });
  const best = (kind: 'previousToken' | 'induction'): number => Math.max(...scores.map((one) => one[kind].value));
  return {
    text_loss: (await measure(text)).loss,
    first_copy_loss: mean(1, HALF),
    // The first word of the second copy cannot be told from a new one.
    second_copy_loss: mean(HALF + 1, 2 * HALF),
    loss_in_context: mean(2 * HALF - 8, 2 * HALF) - mean(HALF + 1, HALF + 9),
    previous_token_score: best('previousToken'),
    induction_score: best('induction'),
  };
}

export const inductionAttention = inductionRecipe({
  name: 'induction-attn-2l',
  title: 'Induction in two layers of attention',
  shows:
    'A head that looks at the previous token and heads that read its output form together: the loss on repeats falls in a few hundred steps.',
  heads: 4,
  width: 64,
  headWidth: 16,
  inner: 0,
  steps: 6000,
  learningRate: 0.015,
});

export const inductionWithMlps = inductionRecipe({
  name: 'induction-mlp-2l',
  title: 'Induction in two layers with MLPs',
  shows: 'The same language in another architecture: six heads, a stream of 48, MLPs of 96.',
  heads: 6,
  width: 48,
  headWidth: 8,
  inner: 96,
  steps: 6000,
  learningRate: 0.01,
});
