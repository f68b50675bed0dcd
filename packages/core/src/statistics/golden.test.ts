import { describe, expect, test } from 'vitest';
import { sharedFolder, sharedJson, withoutShared } from '../architectures/shared-data.ts';
import { benjaminiHochberg, benjaminiYekutieli, bonferroni, holm } from './adjust-p-values.ts';
import { auroc, aurocBootstrap, aurocDifference } from './auroc.ts';
import { bcaTerms } from './bca-interval.ts';
import { binomialTail, wilson } from './binomial.ts';
import { bootstrapInterval } from './bootstrap-interval.ts';
import { hedgesG } from './effect-size.ts';
import type { Measured } from './interval.ts';
import { mean, quantile, variance } from './moments.ts';
import { permutationP } from './permutation-p.ts';
import { spearman } from './spearman.ts';

// Recorded by numpy and scipy; the data and the definition of every choice stand in the record.

type Numbers = readonly number[];

interface Bootstrapped {
  readonly estimate: number;
  readonly z0: number;
  readonly acceleration: number;
  readonly levels: Numbers;
  readonly interval: Numbers;
  readonly percentile_interval: Numbers;
  readonly standard_error: number;
}

interface Auroc {
  readonly auroc: number;
  readonly variance: number;
  readonly interval_95_normal: Numbers;
}

interface Record {
  readonly data: {
    readonly a: Numbers;
    readonly b: Numbers;
    readonly orders: readonly Numbers[];
    readonly resample_indices: readonly Numbers[];
    readonly p_values: Numbers;
    readonly x: Numbers;
    readonly y: Numbers;
    readonly a_other_score: Numbers;
    readonly b_other_score: Numbers;
  };
  readonly expected: {
    readonly permutation_given_orders: {
      readonly observed: number;
      readonly hits_two_sided: number;
      readonly p_two_sided: number;
      readonly hits_greater: number;
      readonly p_greater: number;
    };
    readonly bca_mean: Bootstrapped;
    readonly bca_median: Bootstrapped;
    readonly bca_standard_deviation: Bootstrapped;
    readonly adjusted: { readonly [method: string]: Numbers };
    readonly binomial: { readonly [counts: string]: { readonly wilson_95: Numbers; readonly p_against_half: number } };
    readonly auroc: Auroc;
    readonly auroc_other_score: Auroc;
    readonly delong_difference: { readonly difference: number; readonly variance: number; readonly z: number };
    readonly cohen_d: { readonly hedges_g_approximate: number };
    readonly correlation: { readonly spearman: number };
  };
  readonly tolerance: number;
}

const ends = ({ interval }: Measured): Numbers => interval ?? [];

describe.skipIf(!sharedFolder)(`recorded statistics${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  if (!sharedFolder) return;
  const { data, expected, tolerance } = sharedJson('golden/statistics/case.json') as Record;
  const close = (got: ArrayLike<number>, wanted: Numbers, what: string): void => {
    expect(got.length, what).toBe(wanted.length);
    for (const [at, value] of wanted.entries()) {
      const off = Math.abs((got[at] ?? Number.NaN) - value);
      expect(off, `${what}[${at}]`).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
    }
  };

  const statistics: readonly (readonly [
    name: 'bca_mean' | 'bca_median' | 'bca_standard_deviation',
    of: (values: Numbers) => number,
  ])[] = [
    ['bca_mean', mean],
    ['bca_median', (values) => quantile(values, 0.5)],
    ['bca_standard_deviation', (values) => Math.sqrt(variance(values))],
  ];
  for (const [name, of] of statistics) {
    test(`${name}: terms, levels and both intervals on the recorded resamples`, () => {
      const wanted = expected[name];
      const statistic = (indices: Numbers): number => of(indices.map((index) => data.a[index] ?? Number.NaN));
      const options = { seed: 0, draws: data.resample_indices };
      const bca = bootstrapInterval(statistic, data.a.length, options);
      close(
        [bca.value, bca.standardError ?? Number.NaN],
        [wanted.estimate, wanted.standard_error],
        'estimate, standard error',
      );
      close(ends(bca), wanted.interval, 'interval');
      close(
        ends(bootstrapInterval(statistic, data.a.length, { ...options, method: 'percentile' })),
        wanted.percentile_interval,
        'percentile interval',
      );
      const terms = bcaTerms(
        {
          estimate: bca.value,
          resampled: Float64Array.from(data.resample_indices, statistic),
          jackknife: [Float64Array.from(data.a, (_, left) => of(data.a.filter((__, at) => at !== left)))],
        },
        0.95,
      );
      if (typeof terms === 'string') throw new Error(terms);
      close(
        [terms.z0, terms.acceleration, ...terms.levels],
        [wanted.z0, wanted.acceleration, ...wanted.levels],
        'terms',
      );
    });
  }

  test('permutation p-values on the recorded orders', () => {
    const all = [...data.a, ...data.b];
    const difference = (order: Numbers): number => {
      const values = order.map((index) => all[index] ?? Number.NaN);
      return mean(values.slice(0, data.a.length)) - mean(values.slice(data.a.length));
    };
    const wanted = expected.permutation_given_orders;
    const observed = difference(all.map((_, at) => at));
    const nulls = data.orders.map(difference);
    const two = permutationP(observed, nulls, 'two_sided');
    const greater = permutationP(observed, nulls);
    close(
      [observed, two.hits, two.p, greater.hits, greater.p],
      [wanted.observed, wanted.hits_two_sided, wanted.p_two_sided, wanted.hits_greater, wanted.p_greater],
      'p',
    );
  });

  test('adjusted p-values', () => {
    const methods = {
      holm,
      bonferroni,
      benjamini_hochberg: benjaminiHochberg,
      benjamini_yekutieli: benjaminiYekutieli,
    };
    for (const [name, adjust] of Object.entries(methods))
      close(adjust(data.p_values), expected.adjusted[name] ?? [], name);
  });

  test('binomial intervals and exact tails', () => {
    const cases = Object.entries(expected.binomial);
    expect(cases.length).toBe(5);
    for (const [counts, wanted] of cases) {
      const [successes = 0, trials = 0] = counts.split('/').map(Number);
      close(ends(wilson(successes, trials)), wanted.wilson_95, counts);
      const p = Math.min(1, 2 * binomialTail(Math.max(successes, trials - successes), trials, 0.5));
      expect(Math.abs(p / wanted.p_against_half - 1), counts).toBeLessThan(1e-9);
    }
  });

  test('AUROC, its DeLong variance, and the paired difference of two scores', () => {
    for (const [positives, negatives, wanted] of [
      [data.a, data.b, expected.auroc],
      [data.a_other_score, data.b_other_score, expected.auroc_other_score],
    ] as const) {
      const got = auroc(positives, negatives);
      close([got.value, (got.standardError ?? Number.NaN) ** 2], [wanted.auroc, wanted.variance], 'auroc');
      close(ends(got), wanted.interval_95_normal, 'interval');
      expect(aurocBootstrap(positives, negatives, { seed: 1, resamples: 20 }).value).toBeCloseTo(wanted.auroc, 12);
    }
    const wanted = expected.delong_difference;
    const got = aurocDifference(
      { positives: data.a, negatives: data.b },
      { positives: data.a_other_score, negatives: data.b_other_score },
    );
    close(
      [got.value, (got.standardError ?? Number.NaN) ** 2, got.z ?? Number.NaN],
      [wanted.difference, wanted.variance, wanted.z],
      'difference',
    );
  });

  test('effect size and rank correlation', () => {
    close(
      [hedgesG(data.a, data.b).value, spearman(data.x, data.y).value],
      [expected.cohen_d.hedges_g_approximate, expected.correlation.spearman],
      'values',
    );
  });
});
