import { Rng } from '@circuitscope/core';
import type { Task } from '@circuitscope/schema';
import type { TaskOptions } from './zoo-member.ts';

/**
 * BOS and a permutation of all other tokens three times over. The answer is the token that followed the current one in
 * the first copy; the wrong answer is the current token itself. The metric is read once per example, at a position of the
 * second or third copy; the corrupt prompt is another permutation.
 */
export function repeatedPermutations(name: string, vocab: number, { seed, examples }: TaskOptions): Task {
  const rng = new Rng(seed, `zoo/${name}/task`);
  const words = Array.from({ length: vocab - 1 }, (_, index) => index + 1);
  const prompt = (): number[] => {
    const order = rng.shuffle(words);
    return [0, ...order, ...order, ...order];
  };
  const period = vocab - 1;
  return {
    kind: 'task',
    version: 1,
    name,
    description: 'Repeated permutations: name the token that followed the current one before.',
    metric: { kind: 'accuracy', at: { kind: 'named', name: 'END' } },
    examples: Array.from({ length: examples }, (_, example) => {
      const clean = prompt();
      // From the first token of the second copy to the last but one of the third, each as often as the others.
      const end = period + 1 + (example % (2 * period - 1));
      return {
        clean,
        corrupt: prompt(),
        answer: clean[end + 1] ?? 0,
        wrongAnswer: clean[end] ?? 0,
        positions: { END: end },
      };
    }),
  };
}
