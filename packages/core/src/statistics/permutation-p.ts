import { checkSample } from './moments.ts';

export interface PermutationResult {
  readonly p: number;
  /** Null values at least as far out as the observed one. */
  readonly hits: number;
  /** Null values. */
  readonly n: number;
}

/**
 * p = (1 + #{T* ≥ T}) / (1 + B): the observed value counts among the rearrangements, so p is never 0 (Phipson and Smyth
 * 2010). `two_sided` compares |T*| with |T|. Equal up to rounding (1e-12) is a hit.
 */
export function permutationP(
  observed: number,
  nulls: ArrayLike<number>,
  alternative: 'greater' | 'less' | 'two_sided' = 'greater',
): PermutationResult {
  checkSample([observed], 1, 'A permutation test');
  checkSample(nulls, 1, 'A permutation test');
  const turn = (value: number): number =>
    alternative === 'greater' ? value : alternative === 'less' ? -value : Math.abs(value);
  const bar = turn(observed) - 1e-12 * Math.max(1, Math.abs(observed));
  let hits = 0;
  for (let at = 0; at < nulls.length; at++) if (turn(nulls[at] as number) >= bar) hits++;
  return { p: (1 + hits) / (1 + nulls.length), hits, n: nulls.length };
}
