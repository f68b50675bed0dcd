import type { FeatureData } from './feature-data.ts';

export interface RecallPrompts {
  readonly tokens: readonly (readonly number[])[];
  /** Where the answer is predicted, one position per prompt. */
  readonly at: readonly number[];
  /** The token that followed the query's token before, and another token of the same prompt. */
  readonly answer: readonly number[];
  readonly wrong: readonly number[];
}

/**
 * Prompts whose continuation rests on the property, from the positives: what a direction's effect on the output is read on.
 * `repeated`: at the repeat, the token after the earlier copy. `previousIs`: the property's token is put once more at the
 * end, and the token that it stood before is asked for. Prompts get one token longer then.
 */
export function recallPrompts({ property, positives, at, changed }: FeatureData): RecallPrompts {
  const asked = property.kind === 'previousIs';
  const source = positives.map((_, pair) => (asked ? (at[pair] as number) : (changed[pair]?.[0] as number) + 1));
  const answer = positives.map((prompt, pair) => prompt[source[pair] as number] as number);
  const wrong = positives.map((prompt, pair) => {
    const query = prompt[(source[pair] as number) - 1];
    const other = prompt.findIndex((id, where) => where > 0 && id !== answer[pair] && id !== query);
    return prompt[other] as number;
  });
  return {
    tokens: asked ? positives.map((prompt) => [...prompt, property.token]) : positives,
    at: asked ? positives.map((prompt) => prompt.length) : at,
    answer,
    wrong,
  };
}
