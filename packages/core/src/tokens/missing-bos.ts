import { CircuitscopeError } from '@circuitscope/schema';

/** The token that begins a text, where one is asked for. @throws CircuitscopeError `missing_bos`. */
export function bosOf(id: number | null, at: string): number {
  if (id !== null) return id;
  throw new CircuitscopeError(
    'missing_bos',
    `The vocabulary ${at} has no token that begins a text; use auto or never.`,
    {
      at,
      expected: 'a vocabulary with a beginning-of-text token',
    },
  );
}
