import { type CausalProgram, type CausalValue, Rng } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import type { TaskOptions } from './zoo-member.ts';

// Induction as a program: copy the token before (`previous`), find where it is the current one (`match`), and say what
// stands there (`copied`).

export interface InductionProgramRules {
  readonly vocab: number;
  readonly bos: number;
}

/**
 * `match` at position p holds the positions s ≤ p with previous[s] = tokens[p], as text: `3` or `3,10`; null for none.
 * `copied` is the token that stands at all of them; null where they differ.
 */
export function inductionProgram({ vocab, bos }: InductionProgramRules): CausalProgram {
  return {
    variables: [
      { name: 'tokens', parents: [] },
      { name: 'previous', parents: ['tokens'] },
      { name: 'match', parents: ['tokens', 'previous'] },
      { name: 'copied', parents: ['match', 'tokens'] },
    ],
    output: 'copied',
    evaluate: (prompt, overrides = {}) => {
      const wrong = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
      if (wrong !== undefined || prompt[0] !== bos)
        throw new CircuitscopeError(
          'bad_prompt',
          `A prompt of the induction program begins with ${bos} and has tokens below ${vocab}.`,
          {
            expected: `${bos}, then 0 to ${vocab - 1}`,
            got: prompt.slice(0, 16).join(' '),
          },
        );
      const column = (name: string, values: readonly CausalValue[]): readonly CausalValue[] =>
        values.map((value, at) => {
          const other = overrides[name]?.[at];
          return other === undefined ? value : other;
        });
      const tokens = column('tokens', prompt);
      const previous = column(
        'previous',
        prompt.map((_, at) => (at === 0 ? null : (tokens[at - 1] ?? null))),
      );
      const match = column(
        'match',
        tokens.map((token, at) => {
          const found = previous
            .slice(0, at + 1)
            .flatMap((before, s) => (before !== null && before === token ? [s] : []));
          return found.length > 0 ? found.join() : null;
        }),
      );
      const copied = column(
        'copied',
        match.map((places) => {
          if (typeof places !== 'string') return null;
          const [first = null, ...others] = places.split(',').map((s) => tokens[Number(s)] ?? null);
          return others.every((other) => other === first) ? first : null;
        }),
      );
      return { tokens, previous, match, copied };
    },
    tokenOf: (value) => (typeof value === 'number' ? value : null),
  };
}

export interface InductionInputs extends TaskOptions {
  readonly bos: number;
  /** The words of every prompt, each twice in it. */
  readonly words: readonly number[];
  /** Names the stream of random numbers. */
  readonly name: string;
}

/**
 * BOS, the words in one order, and the words in another. All prompts have the same words, so that an exchanged `previous` or
 * `match` still finds one of them; and no two prompts find them in the same places.
 */
export function inductionInputs({ bos, words, name, seed, examples }: InductionInputs): number[][] {
  const rng = new Rng(seed, `zoo/${name}/inputs`);
  return Array.from({ length: examples }, () => [bos, ...rng.shuffle(words), ...rng.shuffle(words)]);
}
