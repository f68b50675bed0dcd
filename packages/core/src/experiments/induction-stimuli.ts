import { CircuitscopeError, type Json, type Stimuli, type Task } from '@circuitscope/schema';
import type { ModelSize } from '../features/index.ts';
import { Rng } from '../tensor/index.ts';
import { behaviourTask } from '../universality/index.ts';

/** What a generator of prompts is told; recorded with the hypothesis, so that anyone draws the same. */
export interface InductionParameters {
  readonly bos: number | null;
  /** Tokens that are repeated. */
  readonly half: number;
  /** Half of the vocabulary that may be drawn, split by `split`; `all` where it is too small to be split. */
  readonly part: 'exploration' | 'confirmation' | 'all';
  readonly split: number;
}

/** `long`: a plain repeat. `shuffled`: in another order. `exchange`: clean and corrupt differ by two tokens that changed places. */
export const inductionGenerators = ['induction/long', 'induction/shuffled', 'induction/exchange'] as const;

/** Fewer tokens than this are not split. */
const LEAST_TO_SPLIT = 48;
/** Two tokens to exchange, two places for the sham patch, and something between them. */
const LEAST_HALF = 6;

/** The tokens of one half of the vocabulary; which half a token is in depends on the split alone. */
export function tokensOf(vocab: number, { bos, part, split }: InductionParameters): readonly number[] {
  const words = Array.from({ length: vocab }, (_, id) => id).filter((id) => id !== bos);
  if (part === 'all') return words;
  const order = new Rng(split, 'experiments/token-split').shuffle(words);
  const middle = Math.floor(order.length / 2);
  return (part === 'exploration' ? order.slice(0, middle) : order.slice(middle)).sort((a, b) => a - b);
}

/**
 * Lengths and token sets for exploring and confirming: longer and unseen where the model has room for it.
 * @throws CircuitscopeError `too_few` where vocabulary or context hold no prompts of that kind
 */
export function inductionDesign(
  { vocab, context }: Pick<ModelSize, 'vocab' | 'context'>,
  bos: number | null,
  split: number,
): { readonly explore: InductionParameters; readonly confirm: InductionParameters } {
  const words = vocab - (bos === null ? 0 : 1);
  const splits = words >= LEAST_TO_SPLIT;
  const usable = splits ? Math.floor(words / 2) : words;
  const longest = Math.min(28, Math.floor((context - (bos === null ? 0 : 1) - 1) / 2), Math.floor((usable - 1) / 2));
  if (longest < LEAST_HALF) {
    throw new CircuitscopeError(
      'too_few',
      `These prompts repeat at least ${LEAST_HALF} tokens; a context of ${context} and ${words} tokens have room for ${longest}.`,
      { expected: `at least ${LEAST_HALF}`, got: String(longest) },
    );
  }
  return {
    explore: { bos, half: Math.max(LEAST_HALF, Math.floor(longest / 2)), part: splits ? 'exploration' : 'all', split },
    confirm: { bos, half: longest, part: splits ? 'confirmation' : 'all', split },
  };
}

/** Draws the prompts that a hypothesis plans. @throws CircuitscopeError `unknown_generator`, `bad_parameters` */
export function drawStimuli(
  { generator, parameters, examples }: Pick<Stimuli, 'generator' | 'parameters' | 'examples'>,
  size: Pick<ModelSize, 'vocab' | 'context'>,
  seed: number,
): Task {
  const read = readParameters(parameters);
  const options = { seed, examples, bos: read.bos, half: read.half, tokens: tokensOf(size.vocab, read) };
  switch (generator) {
    case 'induction/long':
      return behaviourTask('copy', size, options);
    case 'induction/shuffled':
      return behaviourTask('shuffled', size, options);
    case 'induction/exchange':
      return exchanged(behaviourTask('once', size, options), read, seed);
    default:
      throw new CircuitscopeError('unknown_generator', `No generator is called ${generator}.`, {
        expected: inductionGenerators.join(', '),
        got: generator,
      });
  }
}

/**
 * Of F, other tokens and one token a of F: the corrupt prompt has a and another token b of F exchanged. What stood after a
 * is the answer, what stood after b the wrong answer; `TARGET` and `SWAPPED` are their places. `ELSEWHERE_1` and `_2` are two
 * places of F where the token before is the same in both prompts.
 */
function exchanged(task: Task, { bos, half }: InductionParameters, seed: number): Task {
  const rng = new Rng(seed, 'experiments/exchange');
  const start = bos === null ? 0 : 1;
  return {
    ...task,
    name: 'exchange',
    examples: task.examples.map(({ clean, positions }) => {
      const place = (positions?.TARGET ?? 0) - start - 1;
      const places = Array.from({ length: half - 1 }, (_, at) => at);
      const other = rng.choice(places.filter((at) => Math.abs(at - place) > 1));
      const [from, to] = [start + place, start + other];
      const corrupt = [...clean];
      // The last token stays: it asks the same question of both prompts.
      corrupt[from] = clean[to] as number;
      corrupt[to] = clean[from] as number;
      const [one, two] = rng.shuffle(places.filter((at) => at !== place && at !== other)) as [number, number];
      return {
        clean,
        corrupt,
        answer: clean[from + 1] as number,
        wrongAnswer: clean[to + 1] as number,
        positions: {
          END: clean.length - 1,
          TARGET: from + 1,
          SWAPPED: to + 1,
          ELSEWHERE_1: start + one + 1,
          ELSEWHERE_2: start + two + 1,
        },
      };
    }),
  };
}

function readParameters(parameters: Json): InductionParameters {
  const of = (key: string): unknown =>
    typeof parameters === 'object' && parameters !== null ? Reflect.get(parameters, key) : undefined;
  const [bos, half, part, split] = [of('bos'), of('half'), of('part'), of('split')];
  if (
    (bos === null || typeof bos === 'number') &&
    typeof half === 'number' &&
    typeof split === 'number' &&
    (part === 'exploration' || part === 'confirmation' || part === 'all')
  )
    return { bos, half, part, split };
  throw new CircuitscopeError('bad_parameters', 'A generator of induction prompts needs bos, half, part and split.', {
    expected: 'bos, half, part, split',
    got: JSON.stringify(parameters).slice(0, 80),
  });
}
