import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel, repeatedRandomTask } from '@circuitscope/core';
import type { ZooMember } from './zoo-member.ts';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../trained/induction-attn-2l');
export const TRAINED_SEEDS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** Two-layer attention-only language models that learnt induction; the folder's README says from what. */
export function trainedInduction(seed: number): ZooMember {
  const name = `induction-attn-2l/seed-${seed}`;
  return {
    name,
    title: `Induction, learnt (seed ${seed})`,
    made: 'A two-layer attention-only language model of width 64, trained on text-like sequences with repeats.',
    model: () => ({ ...loadModel(join(folder, `seed-${seed}`)), name: `zoo:${name}` }),
    task: ({ seed: taskSeed, examples }) =>
      repeatedRandomTask({ name: 'induction', vocab: 256, bos: 0, half: 20, seed: taskSeed, examples }),
    truth: [],
    bos: 0,
    get tokens() {
      return readTokens();
    },
  };
}

let words: readonly string[] | undefined;

function readTokens(): readonly string[] {
  if (!words) {
    const parsed: unknown = JSON.parse(readFileSync(join(folder, 'tokens.json'), 'utf8'));
    words = Array.isArray(parsed) ? parsed.map(String) : [];
  }
  return words;
}
