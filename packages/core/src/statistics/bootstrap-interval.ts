import { CircuitscopeError } from '@circuitscope/schema';
import { bcaInterval, bootstrapStandardError, percentileInterval } from './bca-interval.ts';
import { degenerate, type Measured } from './interval.ts';
import { checkSample, mean } from './moments.ts';
import { drawResamples, type Sampling, unitsOf } from './resample.ts';

export interface BootstrapOptions extends Omit<Sampling, 'size'> {
  readonly seed: number;
  /** 2000 if left out. */
  readonly resamples?: number;
  /** 0.95 if left out. */
  readonly level?: number;
  /** `bca` if left out. */
  readonly method?: 'bca' | 'percentile';
  /** Samples that were drawn before with `drawResamples`: shared by statistics that are compared. */
  readonly draws?: readonly (readonly number[])[];
}

/** A function of a list of observation indices, with repeats: also ratios of means, differences, AUROCs. */
export type Statistic = (indices: readonly number[]) => number;

/**
 * A statistic with its bootstrap interval. `n` counts clusters where there are clusters.
 * @throws CircuitscopeError `too_few` for no observation, `not_finite` if the statistic is not finite on the data themselves
 */
export function bootstrapInterval(statistic: Statistic, size: number, options: BootstrapOptions): Measured {
  const { seed, resamples = 2000, level = 0.95, method = 'bca' } = options;
  if (!(level > 0 && level < 1)) {
    throw new CircuitscopeError('out_of_range', `The level of an interval lies between 0 and 1; got ${level}.`, {
      expected: '0 … 1',
      got: String(level),
    });
  }
  const sampling: Sampling = { ...options, size };
  const strata = unitsOf(sampling);
  const n = strata.reduce((sum, units) => sum + units.length, 0);
  const all = Array.from({ length: size }, (_, at) => at);
  if (size === 0) checkSample(all, 1, 'A bootstrap');
  const value = statistic(all);
  checkSample([value], 1, 'The statistic of a bootstrap');
  const single = strata.find((units) => units.length < 2);
  if (single) {
    return {
      value,
      standardError: null,
      ...degenerate(`one ${options.clusters ? 'cluster' : 'observation'} alone shows no spread`),
      method,
      level,
      n,
    };
  }
  const draws = options.draws ?? drawResamples(sampling, seed, resamples);
  const resampled = Float64Array.from(draws, statistic);
  const jackknife =
    method === 'bca' ? strata.map((units) => Float64Array.from(units, (unit) => statistic(without(all, unit)))) : [];
  const ends =
    method === 'bca'
      ? bcaInterval({ estimate: value, resampled, jackknife }, level)
      : percentileInterval(resampled, level);
  return { value, standardError: bootstrapStandardError(resampled), ...ends, method, level, n };
}

/** The mean of one value per example, with its bootstrap interval. */
export function meanInterval(values: ArrayLike<number>, options: BootstrapOptions): Measured {
  checkSample(values, 1, 'A mean');
  return bootstrapInterval((indices) => meanAt(values, indices), values.length, options);
}

/** mean(numerator) / mean(denominator), resampled together: a ratio of means, not a mean of ratios. */
export function ratioInterval(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  options: BootstrapOptions,
): Measured {
  if (numerator.length !== denominator.length) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `A ratio of means needs pairs; got ${numerator.length} and ${denominator.length} values.`,
      {
        expected: String(numerator.length),
        got: String(denominator.length),
      },
    );
  }
  if (mean(denominator) === 0)
    throw new CircuitscopeError(
      'zero_denominator',
      'The denominator has mean 0, so the ratio of means is not defined.',
    );
  return bootstrapInterval(
    (indices) => meanAt(numerator, indices) / meanAt(denominator, indices),
    numerator.length,
    options,
  );
}

function meanAt(values: ArrayLike<number>, indices: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < indices.length; at++) sum += values[indices[at] as number] as number;
  return sum / indices.length;
}

function without(all: readonly number[], unit: readonly number[]): number[] {
  const left = new Set(unit);
  return all.filter((index) => !left.has(index));
}
