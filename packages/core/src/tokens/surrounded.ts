import type { Offset } from './byte-level-offsets.ts';

/** The places of a text's tokens with those that were put around it, which have none: [0, 0]. */
export function surrounded(offsets: readonly Offset[], before: number, after = 0): Offset[] {
  const nowhere = (count: number): Offset[] => Array.from({ length: count }, (): Offset => [0, 0]);
  return [...nowhere(before), ...offsets, ...nowhere(after)];
}
