import { CircuitscopeError } from '@circuitscope/schema';

/** The error for a word or an id that the vocabulary does not have. */
export function unknownToken(at: string, got: string | number, size: number): CircuitscopeError {
  const what = typeof got === 'number' ? `the id ${got}` : JSON.stringify(got.slice(0, 80));
  const expected = typeof got === 'number' ? `0 to ${size - 1}` : `one of ${size} tokens`;
  return new CircuitscopeError(
    'unknown_token',
    `The vocabulary in ${at} does not have ${what}; check text and tokenizer.`,
    {
      at,
      expected,
      got: String(got).slice(0, 80),
    },
  );
}
