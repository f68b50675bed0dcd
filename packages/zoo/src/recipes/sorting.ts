import {
  type Batch,
  batchRng,
  IGNORED,
  type Metrics,
  type Recipe,
  Rng,
  type Trained,
  tokenBatch,
  toyTransformer,
} from '@circuitscope/core';
import {
  attentionOn,
  rightAnswers,
  type SortingSizes,
  scoreTables,
  sortedList,
  tableShares,
} from './sorting-tables.ts';

// A list of different numbers, then the same numbers in order. One head suffices: at each number of the answer it looks at
// the smallest number of the list that is larger, and copies it (N. Elhage et al. 2021: tables of a head over the
// vocabulary, QK and OV circuits).

export const sorting: SortingSizes = { values: 32, length: 8, equals: 32, bos: 33, width: 64, headWidth: 32 };

const BATCH = 128;
const HELD_BACK = 512;

const sizes = {
  n_layers: 1,
  n_heads: 1,
  d_model: sorting.width,
  d_head: sorting.headWidth,
  d_vocab: sorting.values + 2,
  // BOS, the list, `=`, and the answer but for its last number, which nothing is read at.
  n_ctx: 2 * sorting.length + 1,
  bos_token_id: sorting.bos,
};

const toy = toyTransformer({
  config: sizes,
  initial: () => ({ kind: 'normal', deviation: 1 / Math.sqrt(sorting.width) }),
});

/** BOS, list, `=`, answer; asked for the answer alone. */
function listsOf(rng: Rng, count: number): Batch {
  const prompts = Array.from({ length: count }, () => sortedList(rng, sorting));
  return tokenBatch(
    prompts.map(({ prompt }) => [...prompt]),
    prompts.map(({ answer }) => [...new Array<number>(sorting.length + 1).fill(IGNORED), ...answer]),
  );
}

const heldBack = listsOf(new Rng(0, 'sorting/held-back'), HELD_BACK);

/**
 * On lists of a stream of their own: loss in nats; share of right numbers, and of lists with all of them right; mean attention
 * on the number that is to come. Of the tables over the vocabulary: see `tableShares`.
 */
async function measured({ measure, weights }: Trained): Promise<Metrics> {
  const { loss, sites } = await measure(heldBack, ['logits', 'blocks.0.attn.hook_pattern']);
  const logits = sites.get('logits')?.data ?? new Float64Array();
  const pattern = sites.get('blocks.0.attn.hook_pattern')?.data ?? new Float64Array();
  const tokens = heldBack.inputs.tokens ?? new Int32Array();
  const targets = heldBack.inputs.targets ?? new Int32Array();
  const { order, copied } = tableShares(scoreTables(weights, sorting), sorting);
  return {
    held_back_loss: loss,
    ...rightAnswers(logits, targets, heldBack, sorting),
    attention_on_answer: attentionOn(pattern, tokens, targets, heldBack.pos),
    ordered_scores: order,
    copied_values: copied,
  };
}

export const sortingRecipe: Recipe = {
  name: 'sorting',
  title: 'Sorting eight numbers with one head',
  shows:
    'The head looks from each number of the answer at the next larger one of the list and copies it: its scores over pairs of numbers become a staircase.',
  config: { ...sizes, values: sorting.values, length: sorting.length, batch: BATCH },
  steps: 2000,
  optimiser: {
    kind: 'adamw',
    learningRate: 0.01,
    betas: [0.9, 0.98],
    eps: 1e-8,
    weightDecay: 0.01,
    decays: 'all',
    clip: 1,
  },
  schedule: { kind: 'warmup', warmup: 100, decay: 'cosine' },
  every: { log: 20, evaluate: 100, checkpoint: 1000 },
  model: toy.model,
  batch: (seed, step) => listsOf(batchRng(seed, step), BATCH),
  evaluate: measured,
  export: toy.export,
};
