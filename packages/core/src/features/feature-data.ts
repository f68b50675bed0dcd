import { CircuitscopeError } from '@circuitscope/schema';
import { Rng } from '../tensor/index.ts';
import { allowedTokens, draw, type ModelSize, type TokenChoice } from './repeated-tokens.ts';

/**
 * A property of a position that holds or not by construction, for any model of tokens.
 * `repeated`: the token at the position occurred earlier in the prompt. `previousIs`: the token before it is `token`.
 */
export type FeatureProperty = { readonly kind: 'repeated' } | { readonly kind: 'previousIs'; readonly token: number };

export interface FeatureData {
  readonly property: FeatureProperty;
  readonly seed: number;
  /** Pair i is one prompt with the property and one without, equally long; only the positions in `changed` differ. */
  readonly positives: readonly (readonly number[])[];
  readonly nearMisses: readonly (readonly number[])[];
  /** The position that has the property or lacks it, the same in both of a pair. */
  readonly at: readonly number[];
  readonly changed: readonly (readonly number[])[];
}

export interface FeatureDataOptions extends TokenChoice {
  readonly seed: number;
  readonly pairs: number;
  /** Tokens of a prompt without BOS, all different but for the repeat; at most 16 if left out. */
  readonly length?: number;
  /** Data whose prompts must not come again: what a direction was found on. */
  readonly exclude?: readonly FeatureData[];
}

interface Pair {
  readonly positive: number[];
  readonly nearMiss: number[];
  readonly at: number;
  readonly changed: readonly number[];
}

/**
 * Positives and near-misses from a seed. Within a pair length, position and the token there are equal. Near-misses differ
 * as little as they can and share what else a positive has:
 * `repeated`: one token differs, and it repeats another token, so each prompt of either class holds exactly one repeat;
 * `previousIs`: the token stands earlier instead, swapped with the one there, so both hold the same tokens.
 * @throws CircuitscopeError `too_few` where the vocabulary or the number of possible prompts is too small, `out_of_range`
 */
export function featureData(
  size: Pick<ModelSize, 'vocab' | 'context'>,
  property: FeatureProperty,
  options: FeatureDataOptions,
): FeatureData {
  const { seed, pairs, exclude = [] } = options;
  const start = options.bos === null || options.bos === undefined ? [] : [options.bos];
  const all = allowedTokens(size, options, 3);
  const room = Math.min(size.context - start.length, all.length);
  const length = options.length ?? Math.min(16, room);
  if (!(Number.isInteger(length) && length >= 3 && length <= room)) {
    throw new CircuitscopeError(
      'out_of_range',
      `A prompt has 3 to ${room} tokens here, by the context and the tokens that may be drawn; got ${length}.`,
      { expected: `3 to ${room}`, got: String(length) },
    );
  }
  if (property.kind === 'previousIs' && !all.includes(property.token)) {
    throw new CircuitscopeError(
      'out_of_range',
      `The token ${property.token} of the property is not among the tokens that may be drawn.`,
      { got: String(property.token) },
    );
  }
  const make = property.kind === 'repeated' ? repeatedPair : previousPair(property.token);
  const rng = new Rng(seed, `features.data.${property.kind}`);
  const seen = new Set(exclude.flatMap((data) => [...data.positives, ...data.nearMisses].map(String)));
  const made: Pair[] = [];
  for (let tries = 0; made.length < pairs; tries++) {
    if (tries > 20 * pairs + 1000) {
      throw new CircuitscopeError(
        'too_few',
        `Only ${made.length} of ${pairs} pairs can be made that are not excluded; ask for fewer, longer prompts or more tokens.`,
        { expected: String(pairs), got: String(made.length) },
      );
    }
    const pair = make(rng, all, length);
    const [positive, nearMiss] = [
      [...start, ...pair.positive],
      [...start, ...pair.nearMiss],
    ];
    if (seen.has(String(positive)) || seen.has(String(nearMiss))) continue;
    made.push({ positive, nearMiss, at: pair.at + start.length, changed: pair.changed.map((at) => at + start.length) });
  }
  return {
    property,
    seed,
    positives: made.map(({ positive }) => positive),
    nearMisses: made.map(({ nearMiss }) => nearMiss),
    at: made.map(({ at }) => at),
    changed: made.map(({ changed }) => changed),
  };
}

/** Whether the property holds at a position: the definition that the generator must meet, read off the prompt. */
export function hasProperty(property: FeatureProperty, tokens: readonly number[], at: number): boolean {
  return property.kind === 'repeated' ? tokens.indexOf(tokens[at] as number) < at : tokens[at - 1] === property.token;
}

/** The copy stands at least two positions back, so that the token after it is not the query's own. */
function repeatedPair(rng: Rng, allowed: readonly number[], length: number): Pair {
  const base = draw(rng, allowed, length);
  const at = 2 + rng.below(length - 2);
  const copy = rng.below(at - 1);
  const other = rng.below(at - 1);
  const positive = [...base];
  const nearMiss = [...base];
  positive[copy] = base[at] as number;
  // Skips the place of the copy itself.
  nearMiss[copy] = base[other < copy ? other : other + 1] as number;
  return { positive, nearMiss, at, changed: [copy] };
}

function previousPair(token: number): (rng: Rng, allowed: readonly number[], length: number) => Pair {
  return (rng, allowed, length) => {
    const base = draw(
      rng,
      allowed.filter((id) => id !== token),
      length - 1,
    );
    const at = 2 + rng.below(length - 2);
    const earlier = rng.below(at - 1);
    const positive = [...base.slice(0, at - 1), token, ...base.slice(at - 1)];
    const nearMiss = [...positive];
    nearMiss[at - 1] = positive[earlier] as number;
    nearMiss[earlier] = token;
    return { positive, nearMiss, at, changed: [earlier, at - 1] };
  };
}
