import { z } from 'zod';
import { CircuitscopeError } from './error.ts';

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** A content hash: `sha256:` and 64 lower-case hexadecimal digits. */
export const Hash = z.templateLiteral(['sha256:', z.string().regex(/^[0-9a-f]{64}$/)], {
  error: 'expected sha256: followed by 64 lower-case hexadecimal digits',
});
export type Hash = z.infer<typeof Hash>;

export const isHash = (value: unknown): value is Hash => typeof value === 'string' && PATTERN.test(value);

/** Reads a hash; anything else is an error of code `bad_hash`. */
export function parseHash(value: string): Hash {
  if (isHash(value)) return value;
  throw new CircuitscopeError(
    'bad_hash',
    'A hash is written as sha256: followed by 64 lower-case hexadecimal digits.',
    {
      expected: 'sha256:<64 hexadecimal digits>',
      got: value.slice(0, 80),
    },
  );
}
