import { degenerate, type Interval, interval } from './interval.ts';
import { sortedQuantile, variance } from './moments.ts';
import { normalCdf, normalQuantile } from './normal.ts';

export interface BootstrapDistribution {
  readonly estimate: number;
  /** The statistic of each resample. */
  readonly resampled: Float64Array;
  /** The statistic without each unit in turn, one list per stratum. */
  readonly jackknife: readonly Float64Array[];
}

export interface BcaTerms {
  /** Bias correction: Φ⁻¹ of the share of resamples below the estimate, ties counted half. */
  readonly z0: number;
  readonly acceleration: number;
  /** The shares at which the resampled distribution is read. */
  readonly levels: readonly [number, number];
}

/** Bias-corrected and accelerated interval (Efron 1987; several strata: Efron and Tibshirani 1993, ch. 14 and 22). */
export function bcaInterval(distribution: BootstrapDistribution, level = 0.95): Interval {
  const sorted = Float64Array.from(distribution.resampled).sort();
  const reason = withoutSpread(sorted);
  if (reason) return degenerate(reason);
  const terms = bcaTerms(distribution, level);
  if (typeof terms === 'string') return degenerate(terms);
  const [low, high] = terms.levels;
  return interval(sortedQuantile(sorted, low), sortedQuantile(sorted, high));
}

export function percentileInterval(resampled: Float64Array, level = 0.95): Interval {
  const sorted = Float64Array.from(resampled).sort();
  const reason = withoutSpread(sorted);
  if (reason) return degenerate(reason);
  const side = (1 - level) / 2;
  return interval(sortedQuantile(sorted, side), sortedQuantile(sorted, 1 - side));
}

/** The terms of a BCa interval, or why it has none. */
export function bcaTerms({ estimate, resampled, jackknife }: BootstrapDistribution, level: number): BcaTerms | string {
  let below = 0;
  for (const value of resampled) below += value < estimate ? 1 : value === estimate ? 0.5 : 0;
  const share = below / resampled.length;
  if (share === 0 || share === 1)
    return `all resamples lie on one side of the estimate ${estimate}, so its bias has no correction`;
  const z0 = normalQuantile(share);
  const acceleration = accelerationOf(jackknife);
  if (!Number.isFinite(acceleration)) return 'leaving one unit out gives a statistic that is not finite';
  const z = normalQuantile((1 + level) / 2);
  const shifted = (end: number): number => (z0 + end) / (1 - acceleration * (z0 + end));
  if (1 - acceleration * (z0 + z) <= 0 || 1 - acceleration * (z0 - z) <= 0)
    return 'one unit outweighs the others so far that the acceleration leaves its range';
  return { z0, acceleration, levels: [normalCdf(z0 + shifted(-z)), normalCdf(z0 + shifted(z))] };
}

/**
 * a = ΣU³ / (6 (ΣU²)^1.5) with U = (n − 1)/n · (mean of the left-out values − left-out value) within each stratum. A
 * statistic that no single unit moves (a median can be so) has a = 0.
 */
function accelerationOf(strata: readonly Float64Array[]): number {
  let squares = 0;
  let cubes = 0;
  for (const values of strata) {
    const n = values.length;
    const center = values.reduce((sum, value) => sum + value, 0) / n;
    for (const value of values) {
      const u = ((n - 1) / n) * (center - value);
      squares += u * u;
      cubes += u * u * u;
    }
  }
  return squares === 0 ? 0 : cubes / (6 * squares * Math.sqrt(squares));
}

function withoutSpread(sorted: Float64Array): string | undefined {
  const bad = sorted.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
  if (bad > 0) return `the statistic is not finite in ${bad} of ${sorted.length} resamples`;
  if (sorted.length < 2) return 'fewer than two resamples';
  const low = sorted[0] as number;
  const high = sorted[sorted.length - 1] as number;
  // Sums of equal numbers in another order differ in their last bits; that is no spread.
  if (high - low <= 1e-13 * Math.max(Math.abs(low), Math.abs(high)))
    return `every resample gives ${low}: the data do not vary`;
  return undefined;
}

/** The standard deviation of the resampled statistic; null where it has none. */
export function bootstrapStandardError(resampled: Float64Array): number | null {
  return resampled.length > 1 && resampled.every(Number.isFinite) ? Math.sqrt(variance(resampled)) : null;
}
