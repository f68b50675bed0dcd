import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '@circuitscope/core/checkpoints';

// A checkpoint with the shapes of GPT-2 small, as its authors name and lay out its weights, and a task of eight pairs of
// prompts. Numbers are random but not small: every layer moves the stream, and patches move the logits.

const WIDTH = 768;
const INNER = 3072;
const LAYERS = 12;
const VOCAB = 50257;
const CONTEXT = 1024;

export interface Checkpoint {
  readonly folder: string;
  readonly task: string;
}

export function randomCheckpoint(folder: string, seed = 12345): Checkpoint {
  let state = seed >>> 0;
  /** The sum of three uniform numbers, in −3 … 3. */
  const next = (): number => {
    let sum = 0;
    for (let i = 0; i < 3; i++) {
      state ^= state << 13;
      state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      sum += state / 2 ** 32;
    }
    return 2 * sum - 3;
  };
  const tensor = (name: string, shape: readonly number[], scale: number, mean = 0) => ({
    name: `transformer.${name}`,
    dtype: 'f32' as const,
    shape,
    data: () => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => mean + scale * next()),
  });
  const norm = (name: string) => [tensor(`${name}.weight`, [WIDTH], 0.1, 1), tensor(`${name}.bias`, [WIDTH], 0.05)];
  const linear = (name: string, from: number, to: number, scale: number) => [
    tensor(`${name}.weight`, [from, to], scale),
    tensor(`${name}.bias`, [to], 0.02),
  ];
  writeSafetensors(join(folder, 'model.safetensors'), [
    tensor('wte.weight', [VOCAB, WIDTH], 0.1),
    tensor('wpe.weight', [CONTEXT, WIDTH], 0.02),
    ...Array.from({ length: LAYERS }, (_, layer) => [
      ...norm(`h.${layer}.ln_1`),
      ...norm(`h.${layer}.ln_2`),
      ...linear(`h.${layer}.attn.c_attn`, WIDTH, 3 * WIDTH, 0.04),
      ...linear(`h.${layer}.attn.c_proj`, WIDTH, WIDTH, 0.04),
      ...linear(`h.${layer}.mlp.c_fc`, WIDTH, INNER, 0.04),
      ...linear(`h.${layer}.mlp.c_proj`, INNER, WIDTH, 0.03),
    ]).flat(),
    ...norm('ln_f'),
  ]);
  const config = {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    n_embd: WIDTH,
    n_layer: LAYERS,
    n_head: 12,
    n_positions: CONTEXT,
    n_ctx: CONTEXT,
    vocab_size: VOCAB,
    activation_function: 'gelu_new',
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const task = join(folder, 'task.json');
  writeFileSync(task, JSON.stringify(randomTask()));
  return { folder, task };
}

/** Eight pairs of fifteen tokens that differ in two places, as prompts about who gave what to whom do. */
function randomTask() {
  const examples = wideTokens(8, 15).map((clean, at) => ({
    clean,
    corrupt: clean.map((id, position) => (position === 4 ? id + 991 : position === 9 ? id + 77 : id) % VOCAB),
    answer: at * 31 + 5,
    wrongAnswer: at * 17 + 900,
  }));
  return { kind: 'task', version: 1, name: 'speed', examples, metric: { kind: 'logit_diff' } };
}

/** Token ids that the programs compared with make in the same way. */
export function wideTokens(batch: number, positions: number): number[][] {
  return Array.from({ length: batch }, (_, b) =>
    Array.from({ length: positions }, (_, i) => (b * 7919 + i * 104729) % VOCAB),
  );
}
