import type { Estimate } from '@circuitscope/schema';

/**
 * An interval, or why there is none. A distribution without spread has no interval: [x, x] would claim certainty that the
 * data do not give, and a clamped bound would hide it.
 */
export type Interval =
  | { readonly interval: readonly [low: number, high: number]; readonly degenerate: null }
  | { readonly interval: null; readonly degenerate: string };

/** A number with how sure it is. `n` counts the units of analysis: examples or clusters, never tokens. */
export type Measured = Interval & {
  readonly value: number;
  /** null where it is not defined. */
  readonly standardError: number | null;
  readonly method: 'bca' | 'percentile' | 'delong' | 'wilson';
  /** Of the interval, 0.95 unless asked otherwise. */
  readonly level: number;
  readonly n: number;
};

export function interval(low: number, high: number): Interval {
  return { interval: [low, high], degenerate: null };
}

export function degenerate(reason: string): Interval {
  return { interval: null, degenerate: reason };
}

/** As the schema keeps it; an interval that is not defined is left out. */
export function toEstimate({ value, standardError, interval: ends, n }: Measured): Estimate {
  return { value, n, ...(standardError === null ? {} : { se: standardError }), ...(ends ? { interval: ends } : {}) };
}
