import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadDecoder } from '@circuitscope/core';
import { modularAddition } from './modular-addition.ts';
import { ADDITION_PRIME } from './recipes/modular-addition.ts';
import type { ZooMember } from './zoo-member.ts';

const trained = join(dirname(fileURLToPath(import.meta.url)), '../trained/modular-addition');
export const TRAINED_ADDITION_SEEDS = [0, 1] as const;

/**
 * Addition modulo 59, learnt by heart and then by waves; `trained/modular-addition/README.md` says how. Tokens, task and
 * program are those of the closed form.
 */
export function trainedAddition(seed: number): ZooMember {
  const name = `modular-addition/seed-${seed}`;
  const { task, program, bos, tokens } = modularAddition({ name, p: ADDITION_PRIME, frequencies: [1] });
  return {
    name,
    title: `Addition modulo ${ADDITION_PRIME}, learnt (seed ${seed})`,
    made: `A one-layer transformer of width 128, trained on 40 % of all pairs: circuitscope train modular-addition --seed ${seed}.`,
    model: () => ({ ...loadDecoder(join(trained, `seed-${seed}`)), name: `zoo:${name}` }),
    task,
    truth: [],
    bos,
    tokens,
    ...(program ? { program } : {}),
  };
}
