import { CircuitscopeError } from '@circuitscope/schema';

type Values = ArrayLike<number>;

/** Refuses samples that are too small, and values that are not finite: no estimate is better than a quiet NaN. */
export function checkSample(values: Values, least: number, what: string): void {
  if (values.length < least) {
    throw new CircuitscopeError('too_few', `${what} needs at least ${least} values; give more examples.`, {
      at: what,
      expected: `at least ${least}`,
      got: String(values.length),
    });
  }
  for (let at = 0; at < values.length; at++) {
    if (!Number.isFinite(values[at])) {
      throw new CircuitscopeError(
        'not_finite',
        `${what} met the value ${values[at]} at index ${at}; drop that example or find out where it comes from.`,
        {
          at: `${what}[${at}]`,
          got: String(values[at]),
        },
      );
    }
  }
}

export function mean(values: Values): number {
  checkSample(values, 1, 'A mean');
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] as number;
  return sum / values.length;
}

/** With n − 1. */
export function variance(values: Values): number {
  checkSample(values, 2, 'A variance');
  return covariance(values, values);
}

/** With n − 1; the two samples are paired. */
export function covariance(a: Values, b: Values): number {
  if (a.length !== b.length) {
    throw new CircuitscopeError('shape_mismatch', `A covariance needs pairs; got ${a.length} and ${b.length} values.`, {
      expected: String(a.length),
      got: String(b.length),
    });
  }
  const meanA = mean(a);
  const meanB = mean(b);
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += ((a[at] as number) - meanA) * ((b[at] as number) - meanB);
  return sum / (a.length - 1);
}

/** The p-quantile by linear interpolation between order statistics, at index p·(n − 1) (type 7 of Hyndman and Fan 1996). */
export function quantile(values: Values, p: number): number {
  checkSample(values, 1, 'A quantile');
  return sortedQuantile(Float64Array.from(values).sort(), p);
}

/** As `quantile`, of values in ascending order. @throws CircuitscopeError `out_of_range` unless 0 ≤ p ≤ 1 */
export function sortedQuantile(sorted: Values, p: number): number {
  if (!(p >= 0 && p <= 1)) {
    throw new CircuitscopeError('out_of_range', `A quantile needs a share from 0 to 1; got ${p}.`, {
      expected: '0 … 1',
      got: String(p),
    });
  }
  const at = p * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (at - below) * (high - low);
}
