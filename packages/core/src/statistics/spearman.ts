import { CircuitscopeError } from '@circuitscope/schema';
import { midranks } from './midranks.ts';
import { checkSample, covariance } from './moments.ts';

/**
 * Spearman's rank correlation: Pearson's of the midranks, exact under ties.
 * @throws CircuitscopeError `constant` where one sample has a single value: no correlation is defined then
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): { readonly value: number; readonly n: number } {
  checkSample(a, 2, 'A rank correlation');
  checkSample(b, 2, 'A rank correlation');
  const ranksA = midranks(a);
  const ranksB = midranks(b);
  const product = covariance(ranksA, ranksB);
  const scale = Math.sqrt(covariance(ranksA, ranksA) * covariance(ranksB, ranksB));
  if (scale === 0)
    throw new CircuitscopeError(
      'constant',
      'A rank correlation needs values that differ; one sample holds a single value.',
    );
  return { value: product / scale, n: a.length };
}
