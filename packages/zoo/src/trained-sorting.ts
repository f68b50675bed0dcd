import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CausalProgram, type CausalValue, loadDecoder, Rng } from '@circuitscope/core';
import { type Alignment, CircuitscopeError, parseEdgeLabel } from '@circuitscope/schema';
import { sorting } from './recipes/sorting.ts';
import { sortedList } from './recipes/sorting-tables.ts';
import { truthOf, type ZooMember } from './zoo-member.ts';

const trained = join(dirname(fileURLToPath(import.meta.url)), '../trained/sorting');
export const TRAINED_SORTING_SEEDS = [0, 1, 2, 3] as const;

const { values, length, equals, bos } = sorting;
/** Place of `=`, where the first number of the answer is read. */
const FIRST = length + 1;

/** One head that sorts eight different numbers; `trained/sorting/README.md` says how it does it. */
export function trainedSorting(seed: number): ZooMember {
  const name = `sorting/seed-${seed}`;
  return {
    name,
    title: `Sorting, learnt (seed ${seed})`,
    made: `A one-layer attention-only model with one head, trained to sort: circuitscope train sorting --seed ${seed}.`,
    model: () => ({ ...loadDecoder(join(trained, `seed-${seed}`)), name: `zoo:${name}` }),
    task: ({ seed: taskSeed, examples }) => {
      const rng = new Rng(taskSeed, 'zoo/sorting/task');
      return {
        kind: 'task',
        version: 1,
        name,
        description: 'A list, then the same numbers in order; the wrong answer is that of the corrupt list.',
        metric: { kind: 'logit_diff', at: { kind: 'named', name: 'END' } },
        examples: Array.from({ length: examples }, (_, at) => {
          const place = at % length;
          const clean = sortedList(rng, sorting);
          let corrupt = sortedList(rng, sorting);
          while (corrupt.answer[place] === clean.answer[place]) corrupt = sortedList(rng, sorting);
          return {
            clean: [...clean.prompt],
            corrupt: [...corrupt.prompt],
            answer: clean.answer[place] ?? 0,
            wrongAnswer: corrupt.answer[place] ?? 0,
            positions: { END: FIRST + place },
          };
        }),
      };
    },
    // What the numbers add to the logits by themselves changes no answer.
    truth: (['zero', 'resample'] as const).map((ablation) =>
      truthOf({
        ablation,
        metric: 'accuracy',
        edges: ['input→0.0.Q', 'input→0.0.K', 'input→0.0.V', '0.0→logits'].map(parseEdgeLabel),
      }),
    ),
    bos,
    tokens: [...Array.from({ length: values }, (_, value) => String(value)), '=', '<bos>'],
    program: sortingProgram,
    inputs: ({ seed: inputSeed, examples }) => {
      const rng = new Rng(inputSeed, 'zoo/sorting/inputs');
      return Array.from({ length: examples }, (_, at) => ({
        tokens: sortedList(rng, sorting).prompt,
        read: [FIRST + (at % length)],
      }));
    },
  };
}

/** `given` in the head's query, `next` in what it read. There is only one head to choose from; an exchange may refute both. */
export const sortingAlignment: Alignment = {
  tokens: { site: 'hook_embed' },
  given: { site: 'blocks.0.attn.hook_q', head: [0] },
  next: { site: 'blocks.0.attn.hook_z', head: [0] },
};

/** `given` is the number that was said last, −1 at `=`; `next` the smallest of the list that is larger. */
export const sortingProgram: CausalProgram = {
  variables: [
    { name: 'tokens', parents: [] },
    { name: 'given', parents: ['tokens'] },
    { name: 'next', parents: ['tokens', 'given'] },
  ],
  output: 'next',
  evaluate: (prompt, overrides = {}) => {
    if (prompt[0] !== bos || prompt[FIRST] !== equals) {
      throw new CircuitscopeError(
        'bad_prompt',
        `A prompt of sorting is <bos>, ${length} numbers, =, and the first numbers of the answer.`,
        { expected: `${bos}, ${length} numbers, ${equals}`, got: prompt.slice(0, 20).join(' ') },
      );
    }
    const column = (name: string, own: readonly CausalValue[]): readonly CausalValue[] =>
      own.map((value, at) => {
        const other = overrides[name]?.[at];
        return other === undefined ? value : other;
      });
    const tokens = column('tokens', prompt);
    const given = column(
      'given',
      tokens.map((token, at) => (at < FIRST ? null : token === equals ? -1 : token)),
    );
    const list = tokens.slice(1, FIRST).map(Number);
    const next = column(
      'next',
      given.map((last) => {
        if (last === null) return null;
        const larger = list.filter((value) => value > Number(last));
        return larger.length > 0 ? Math.min(...larger) : null;
      }),
    );
    return { tokens, given, next };
  },
  tokenOf: (value) => (typeof value === 'number' ? value : null),
};
