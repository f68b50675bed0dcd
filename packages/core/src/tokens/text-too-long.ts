import { CircuitscopeError } from '@circuitscope/schema';

/** The error for a text beyond what is encoded in one go. */
export function textTooLong(at: string, length: number, most: number): CircuitscopeError {
  return new CircuitscopeError('too_large', 'The text is too long to be encoded in one go; split it.', {
    at,
    expected: `at most ${most} UTF-16 units`,
    got: `${length}`,
  });
}
