import { type BootstrapOptions, bootstrapInterval } from './bootstrap-interval.ts';
import { degenerate, type Interval, interval, type Measured } from './interval.ts';
import { midranks } from './midranks.ts';
import { checkSample, covariance, mean } from './moments.ts';
import { normalCdf, normalQuantile } from './normal.ts';

type Values = ArrayLike<number>;

export type Auroc = Measured & { readonly positives: number; readonly negatives: number };

/**
 * P(positive > negative) + ½ P(equal) over all pairs, with DeLong's interval (1988), by midranks in n log n (Sun and Xu
 * 2014). The normal interval may leave [0, 1] near its ends; it is not clamped.
 */
export function auroc(positives: Values, negatives: Values, level = 0.95): Auroc {
  const { value, ofPositives, ofNegatives } = placements(positives, negatives);
  const counts = { positives: positives.length, negatives: negatives.length, n: positives.length + negatives.length };
  const variance = delongVariance([ofPositives, ofNegatives], [ofPositives, ofNegatives]);
  return { value, ...counts, ...normalInterval(value, variance, level) };
}

/**
 * The same with an interval by resampling. Classes are drawn apart unless `clusters` binds positives and negatives, which
 * follow the positives in the labels: then whole clusters are drawn (a positive with its near-miss).
 */
export function aurocBootstrap(positives: Values, negatives: Values, options: Omit<BootstrapOptions, 'strata'>): Auroc {
  checkSample(positives, 1, 'The positives of an AUROC');
  checkSample(negatives, 1, 'The negatives of an AUROC');
  const count = positives.length;
  const size = count + negatives.length;
  const values = Float64Array.from(
    { length: size },
    (_, at) => (at < count ? positives[at] : negatives[at - count]) as number,
  );
  const distinct = Float64Array.from(new Set(values)).sort();
  const place = new Map(Array.from(distinct, (value, at) => [value, at] as const));
  const ranks = Int32Array.from(values, (value) => place.get(value) ?? 0);
  const tallies = [new Float64Array(distinct.length), new Float64Array(distinct.length)] as const;
  const statistic = (indices: readonly number[]): number => {
    for (const tally of tallies) tally.fill(0);
    for (let at = 0; at < indices.length; at++) {
      const index = indices[at] as number;
      const tally = index < count ? tallies[0] : tallies[1];
      const rank = ranks[index] as number;
      tally[rank] = (tally[rank] as number) + 1;
    }
    return wonShare(tallies[0], tallies[1]);
  };
  const strata = options.clusters ? {} : { strata: Array.from(values, (_, at) => (at < count ? 1 : 0)) };
  const measured = bootstrapInterval(statistic, size, { ...options, ...strata });
  return { ...measured, positives: count, negatives: negatives.length };
}

/**
 * AUROC of one score minus that of another on the same positives and negatives, with DeLong's interval and two-sided p
 * of the paired test. `p` is null where the difference has no variance.
 */
export function aurocDifference(
  first: { readonly positives: Values; readonly negatives: Values },
  second: { readonly positives: Values; readonly negatives: Values },
  level = 0.95,
): Measured & { readonly z: number | null; readonly p: number | null } {
  const a = placements(first.positives, first.negatives);
  const b = placements(second.positives, second.negatives);
  const pairA = [a.ofPositives, a.ofNegatives] as const;
  const pairB = [b.ofPositives, b.ofNegatives] as const;
  const variance = delongVariance(pairA, pairA) + delongVariance(pairB, pairB) - 2 * delongVariance(pairA, pairB);
  const value = a.value - b.value;
  const sure = normalInterval(value, variance, level);
  const z = sure.standardError ? value / sure.standardError : null;
  const n = first.positives.length + first.negatives.length;
  return { value, ...sure, n, z, p: z === null ? null : 2 * normalCdf(-Math.abs(z)) };
}

interface Placements {
  readonly value: number;
  /** For each positive, the share of negatives below it (ties half); for each negative, the share of positives above. */
  readonly ofPositives: Float64Array;
  readonly ofNegatives: Float64Array;
}

function placements(positives: Values, negatives: Values): Placements {
  checkSample(positives, 1, 'The positives of an AUROC');
  checkSample(negatives, 1, 'The negatives of an AUROC');
  const count = positives.length;
  const others = negatives.length;
  const both = Float64Array.from(
    { length: count + others },
    (_, at) => (at < count ? positives[at] : negatives[at - count]) as number,
  );
  const joint = midranks(both);
  const ownPositive = midranks(positives);
  const ownNegative = midranks(negatives);
  const ofPositives = ownPositive.map((rank, at) => ((joint[at] as number) - rank) / others);
  const ofNegatives = ownNegative.map((rank, at) => 1 - ((joint[count + at] as number) - rank) / count);
  return { value: mean(ofPositives), ofPositives, ofNegatives };
}

type Pair = readonly [Float64Array, Float64Array];

/** S10/m + S01/n; NaN with a single positive or negative, where no variance can be seen. */
function delongVariance(a: Pair, b: Pair): number {
  return covariance(a[0], b[0]) / a[0].length + covariance(a[1], b[1]) / a[1].length;
}

function normalInterval(
  value: number,
  variance: number,
  level: number,
): Interval & Pick<Measured, 'standardError' | 'method' | 'level'> {
  const how = { method: 'delong', level } as const;
  if (Number.isNaN(variance))
    return { standardError: null, ...degenerate('a class with one member shows no spread'), ...how };
  // Rounding can leave a difference of equal terms just off zero.
  if (variance <= 1e-30)
    return {
      standardError: 0,
      ...degenerate(`the placements do not vary at ${value}: the classes are separate, or all values are equal`),
      ...how,
    };
  const standardError = Math.sqrt(variance);
  const reach = normalQuantile((1 + level) / 2) * standardError;
  return { standardError, ...interval(value - reach, value + reach), ...how };
}

function wonShare(positives: Float64Array, negatives: Float64Array): number {
  let below = 0;
  let won = 0;
  let total = 0;
  for (let rank = 0; rank < positives.length; rank++) {
    const here = positives[rank] as number;
    const against = negatives[rank] as number;
    won += here * (below + against / 2);
    below += against;
    total += here;
  }
  return won / (total * below);
}
