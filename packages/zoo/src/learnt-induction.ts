import { Rng } from '@circuitscope/core';
import { inductionInputs, inductionProgram } from './induction-program.ts';
import type { ZooMember } from './zoo-member.ts';

const VOCAB = 256;
const BOS = 0;
/** Words of a prompt, each twice in it. */
const WORDS = 20;

/** What the trained models are compared with. Prompts are read at one place of the second half, each as often as the others. */
export const learntInduction: Pick<ZooMember, 'program' | 'inputs'> = {
  program: inductionProgram({ vocab: VOCAB, bos: BOS }),
  inputs: ({ seed, examples }) => {
    const ids = Array.from({ length: VOCAB - 1 }, (_, index) => index + 1);
    const words = new Rng(seed, 'zoo/induction/words').shuffle(ids).slice(0, WORDS);
    const prompts = inductionInputs({ name: 'induction', bos: BOS, words, seed, examples });
    return prompts.map((tokens, at) => ({ tokens, read: [1 + WORDS + (at % WORDS)] }));
  },
};
