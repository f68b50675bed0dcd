import { CircuitscopeError } from '@circuitscope/schema';
import { mean, variance } from './moments.ts';

export interface EffectSize {
  readonly value: number;
  readonly n: number;
}

/** Cohen's d with the pooled deviation, times 1 − 3/(4(n₁ + n₀) − 9) against its bias in small samples (Hedges 1981). */
export function hedgesG(positives: ArrayLike<number>, negatives: ArrayLike<number>): EffectSize {
  const n = positives.length + negatives.length;
  const pooled =
    ((positives.length - 1) * variance(positives) + (negatives.length - 1) * variance(negatives)) / (n - 2);
  return { value: standardised(mean(positives) - mean(negatives), pooled) * (1 - 3 / (4 * n - 9)), n };
}

/** d′ of signal detection: (m₁ − m₀) / √((s₁² + s₀²)/2), both classes weighing the same whatever their sizes. */
export function dPrime(positives: ArrayLike<number>, negatives: ArrayLike<number>): EffectSize {
  const spread = (variance(positives) + variance(negatives)) / 2;
  return { value: standardised(mean(positives) - mean(negatives), spread), n: positives.length + negatives.length };
}

function standardised(difference: number, square: number): number {
  if (square > 0) return difference / Math.sqrt(square);
  throw new CircuitscopeError(
    'constant',
    'An effect size needs values that differ within a class; both classes hold a single value.',
  );
}
