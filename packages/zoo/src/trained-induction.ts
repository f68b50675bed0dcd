import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadDecoder, repeatedRandomTask } from '@circuitscope/core';
import { learntInduction } from './learnt-induction.ts';
import type { ZooMember } from './zoo-member.ts';

const trained = join(dirname(fileURLToPath(import.meta.url)), '../trained');
export const TRAINED_SEEDS = [0, 1, 2, 3, 4, 5, 6, 7] as const;
export const TRAINED_SEEDS_WITH_MLPS = [0, 1, 2, 3] as const;

/** Two-layer attention-only language models that learnt induction; the folder's README says from what. */
export function trainedInduction(seed: number): ZooMember {
  return member('induction-attn-2l', seed, 'A two-layer attention-only language model of width 64');
}

/** The same language in another architecture: six heads, a stream of 48, MLPs of 96. */
export function trainedInductionWithMlps(seed: number): ZooMember {
  return member('induction-mlp-2l', seed, 'A two-layer language model of width 48 with MLPs');
}

function member(family: string, seed: number, what: string): ZooMember {
  const name = `${family}/seed-${seed}`;
  return {
    name,
    title: `Induction, learnt (${family}, seed ${seed})`,
    made: `${what}, trained on text-like sequences with repeats: circuitscope train ${family} --seed ${seed}.`,
    model: () => ({ ...loadDecoder(join(trained, family, `seed-${seed}`)), name: `zoo:${name}` }),
    task: ({ seed: taskSeed, examples }) =>
      repeatedRandomTask({ name: 'induction', vocab: 256, bos: 0, half: 20, seed: taskSeed, examples }),
    truth: [],
    bos: 0,
    get tokens() {
      return readTokens();
    },
    ...learntInduction,
  };
}

let words: readonly string[] | undefined;

/** Both families speak one language. */
function readTokens(): readonly string[] {
  if (!words) {
    const parsed: unknown = JSON.parse(readFileSync(join(trained, 'induction-attn-2l/tokens.json'), 'utf8'));
    words = Array.isArray(parsed) ? parsed.map(String) : [];
  }
  return words;
}
