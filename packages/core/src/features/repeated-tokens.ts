import { CircuitscopeError } from '@circuitscope/schema';
import { Rng } from '../tensor/index.ts';

/** What generated prompts must fit. A decoder's spec has these fields. */
export interface ModelSize {
  readonly layers: number;
  readonly heads: number;
  readonly vocab: number;
  readonly context: number;
}

export interface TokenChoice {
  /** Put first in every prompt; none if null or left out. */
  readonly bos?: number | null;
  /** Token ids to draw from; all but `bos` if left out. Leave out padding and other special tokens. */
  readonly tokens?: readonly number[];
}

/**
 * The ids that prompts are drawn from, each once.
 * @throws CircuitscopeError `out_of_range` for an id outside the vocabulary, `too_few` below the number that is needed
 */
export function allowedTokens(
  { vocab }: Pick<ModelSize, 'vocab'>,
  { bos, tokens }: TokenChoice,
  least = 2,
): readonly number[] {
  const given = tokens ? [...new Set(tokens)] : Array.from({ length: vocab }, (_, id) => id);
  for (const id of bos === null || bos === undefined ? given : [...given, bos]) {
    if (Number.isInteger(id) && id >= 0 && id < vocab) continue;
    throw new CircuitscopeError('out_of_range', `The token ${id} is not in the vocabulary of ${vocab} tokens.`, {
      expected: `0 to ${vocab - 1}`,
      got: String(id),
    });
  }
  const allowed = given.filter((id) => id !== bos);
  if (allowed.length >= least) return allowed;
  throw new CircuitscopeError(
    'too_few',
    `These prompts need ${least} different tokens, but only ${allowed.length} may be drawn; allow more tokens or make the prompts shorter.`,
    {
      expected: `at least ${least}`,
      got: String(allowed.length),
    },
  );
}

export interface RepeatedTokens {
  /** [example][pos]: BOS if there is one, then a half, then the same half again. */
  readonly tokens: readonly (readonly number[])[];
  /** Position of the first token of the second half, and the length of a half. */
  readonly second: number;
  readonly half: number;
}

/**
 * Random tokens, repeated once. The tokens of a half are different from each other, so that each query of the second half
 * has one earlier copy and one token after it: what a score then measures is a single key, not a share among several.
 */
export function repeatedTokens(
  size: Pick<ModelSize, 'vocab' | 'context'>,
  options: TokenChoice & { readonly seed: number; readonly examples: number; readonly half?: number },
): RepeatedTokens {
  const start = options.bos === null || options.bos === undefined ? [] : [options.bos];
  const room = Math.floor((size.context - start.length) / 2);
  const half = options.half ?? Math.min(24, room, allowedTokens(size, options).length);
  if (!(Number.isInteger(half) && half >= 2 && half <= room)) {
    throw new CircuitscopeError(
      'out_of_range',
      `Half a prompt has 2 to ${room} tokens in a context of ${size.context}; got ${half}.`,
      { expected: `2 to ${room}`, got: String(half) },
    );
  }
  const allowed = allowedTokens(size, options, half);
  const rng = new Rng(options.seed, 'features.repeated-tokens');
  const tokens = Array.from({ length: options.examples }, () => {
    const first = draw(rng, allowed, half);
    return [...start, ...first, ...first];
  });
  return { tokens, second: start.length + half, half };
}

/** `count` different items in random order, without touching the rest of a long list. */
export function draw(rng: Rng, items: readonly number[], count: number): number[] {
  if (count * 4 > items.length) return rng.shuffle(items).slice(0, count);
  const taken = new Set<number>();
  while (taken.size < count) taken.add(rng.below(items.length));
  return [...taken].map((at) => items[at] as number);
}
