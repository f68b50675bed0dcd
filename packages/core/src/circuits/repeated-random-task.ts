import { CircuitscopeError, type Task } from '@circuitscope/schema';
import { Rng } from '../tensor/index.ts';

export interface RepeatedRandomOptions {
  readonly name: string;
  readonly vocab: number;
  /** Put first in every prompt; null for models without one. */
  readonly bos: number | null;
  /** Length of the half that is repeated. */
  readonly half: number;
  readonly seed: number;
  readonly examples: number;
  /** The token that every prompt ends with, where a question is about one token. */
  readonly endToken?: number;
}

/**
 * The induction task, which every token model can be asked: random distinct tokens, then the same again up to a place in
 * the second copy. The answer is what followed in the first copy. The corrupt prompt is as long, of other tokens, and
 * repeats nothing: what a head matches, where it then looks and what it finds there all differ. The wrong answer is what
 * stands in the corrupt prompt where the clean one has its answer.
 */
export function repeatedRandomTask({ name, vocab, bos, half, seed, examples, endToken }: RepeatedRandomOptions): Task {
  const words = Array.from({ length: vocab }, (_, id) => id).filter((id) => id !== bos && id !== endToken);
  if (half < 3 || words.length < 3 * half) {
    throw new CircuitscopeError(
      'bad_task',
      `Repeating ${half} random tokens needs a vocabulary of at least ${3 * half + 1} and at least 3 tokens; this one has ${vocab}.`,
      {
        expected: `half from 3 to ${Math.floor(words.length / 3)}`,
        got: String(half),
      },
    );
  }
  const rng = new Rng(seed, `task/${name}`);
  const start = bos === null ? 0 : 1;
  return {
    kind: 'task',
    version: 1,
    name,
    description: `${half} random tokens, repeated: name the token that followed the current one in the first copy.`,
    metric: { kind: 'logit_diff', at: { kind: 'last' } },
    examples: Array.from({ length: examples }, () => {
      const shown = 1 + rng.below(half - 1);
      const drawn = distinct(words, 3 * half, rng);
      // How much of the second copy is shown; the rest is cut off, at a place that differs between examples.
      const first = drawn.slice(0, half);
      if (endToken !== undefined) first[shown - 1] = endToken;
      const other = drawn.slice(half, 2 * half);
      const prompt = (tokens: readonly number[], then: readonly number[]): number[] => [
        ...(bos === null ? [] : [bos]),
        ...tokens,
        ...then.slice(0, shown),
      ];
      return {
        clean: prompt(first, first),
        corrupt: prompt(other, drawn.slice(2 * half)),
        answer: first[shown] ?? 0,
        wrongAnswer: other[shown] ?? 0,
        positions: { END: start + half + shown - 1 },
      };
    }),
  };
}

function distinct(words: readonly number[], count: number, rng: Rng): number[] {
  if (count * 4 > words.length) return rng.shuffle(words).slice(0, count);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(words[rng.below(words.length)] ?? 0);
  return [...chosen];
}
