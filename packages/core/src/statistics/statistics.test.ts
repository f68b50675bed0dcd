import { describe, expect, test } from 'vitest';
import { Rng } from '../tensor/index.ts';
import { benjaminiHochberg, bonferroni, holm } from './adjust-p-values.ts';
import { auroc, aurocBootstrap, aurocDifference } from './auroc.ts';
import { binomialTail, wilson } from './binomial.ts';
import { bootstrapInterval, meanInterval, ratioInterval } from './bootstrap-interval.ts';
import { dPrime, hedgesG } from './effect-size.ts';
import { type Measured, toEstimate } from './interval.ts';
import { mean, quantile, variance } from './moments.ts';
import { permutationP } from './permutation-p.ts';
import { drawResamples } from './resample.ts';
import { spearman } from './spearman.ts';

const normals = (seed: number, count: number, shift = 0): number[] => {
  const rng = new Rng(seed, 'test');
  return Array.from({ length: count }, () => rng.normal() + shift);
};
const covers = ({ interval }: Measured, truth: number): boolean =>
  interval !== null && interval[0] <= truth && truth <= interval[1];
const width = ({ interval }: Measured): number => (interval ? interval[1] - interval[0] : Number.NaN);

describe('AUROC', () => {
  test('counts the pairs that are won, ties half', () => {
    const positives = [3, 1, 2, 2];
    const negatives = [2, 0, 2];
    const won = positives.flatMap((p) => negatives.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
    expect(auroc(positives, negatives)).toMatchObject({ value: mean(won), positives: 4, negatives: 3, n: 7 });
  });

  test('depends on the order alone and turns round with the classes', () => {
    const [positives, negatives] = [normals(1, 30, 0.5), normals(2, 40)];
    const { value } = auroc(positives, negatives);
    expect(
      auroc(
        positives.map((x) => x ** 3 + 7),
        negatives.map((x) => x ** 3 + 7),
      ).value,
    ).toBe(value);
    expect(auroc(negatives, positives).value).toBeCloseTo(1 - value, 14);
  });

  test('classes that are separate, and classes of one value, have no interval but a reason', () => {
    const separate = auroc([3, 4, 5], [0, 1]);
    expect(separate).toMatchObject({ value: 1, interval: null, degenerate: expect.stringContaining('separate') });
    expect(auroc([1, 1], [1, 1, 1])).toMatchObject({ value: 0.5, interval: null });
    expect(aurocBootstrap([3, 4, 5], [0, 1], { seed: 1 }).interval).toBeNull();
    expect(auroc([1], [0, 2]).interval).toBeNull();
    expect(
      aurocDifference({ positives: [1, 2], negatives: [0, 3] }, { positives: [1, 2], negatives: [0, 3] }),
    ).toMatchObject({ value: 0, p: null });
  });

  test('on noise, DeLong and bootstrap intervals cover one half as often as they say', () => {
    let delong = 0;
    let bootstrap = 0;
    for (let round = 0; round < 200; round++) {
      const [positives, negatives] = [normals(2 * round + 10, 25), normals(2 * round + 11, 25)];
      if (covers(auroc(positives, negatives), 0.5)) delong++;
      if (round < 60 && covers(aurocBootstrap(positives, negatives, { seed: round, resamples: 400 }), 0.5)) bootstrap++;
    }
    // 95 % of 200 is 190 ± 3.1, of 60 is 57 ± 1.7.
    expect(delong).toBeGreaterThanOrEqual(180);
    expect(delong).toBeLessThan(200);
    expect(bootstrap).toBeGreaterThanOrEqual(52);
  });

  test('pairs that rise and fall together narrow the interval only when they are drawn together', () => {
    const shared = normals(5, 60);
    const positives = shared.map((x) => x + 0.3);
    const paired = aurocBootstrap(positives, shared, { seed: 3, clusters: [...shared.keys(), ...shared.keys()] });
    expect(paired.n).toBe(60);
    expect(width(paired)).toBeLessThan(0.6 * width(aurocBootstrap(positives, shared, { seed: 3 })));
  });
});

describe('bootstrap', () => {
  test('BCa intervals of a skewed mean cover as often as they say, nearly', () => {
    let covered = 0;
    for (let round = 0; round < 150; round++) {
      // Chi-square with one degree of freedom: mean 1, very skewed.
      if (
        covers(
          meanInterval(
            normals(1000 + round, 40).map((x) => x * x),
            { seed: round, resamples: 500 },
          ),
          1,
        )
      )
        covered++;
    }
    expect(covered).toBeGreaterThanOrEqual(130);
    expect(covered).toBeLessThan(150);
  });

  test('the same seed gives the same bytes, another seed another interval', () => {
    const values = normals(7, 30);
    expect(meanInterval(values, { seed: 5 })).toEqual(meanInterval(values, { seed: 5 }));
    expect(meanInterval(values, { seed: 6 }).interval).not.toEqual(meanInterval(values, { seed: 5 }).interval);
  });

  test('whole clusters are drawn, and counted', () => {
    // Ten clusters of eight equal values: eighty numbers, but the spread of ten.
    const values = normals(9, 10).flatMap((x) => new Array<number>(8).fill(x));
    const clusters = values.map((_, at) => Math.floor(at / 8));
    const clustered = meanInterval(values, { seed: 1, clusters });
    expect(clustered.n).toBe(10);
    expect(width(clustered)).toBeGreaterThan(2 * width(meanInterval(values, { seed: 1 })));
    for (const draw of drawResamples({ size: 80, clusters }, 1, 5)) {
      for (let at = 0; at < 80; at += 8)
        expect(draw.slice(at, at + 8)).toEqual(Array.from({ length: 8 }, (_, k) => (draw[at] ?? 0) + k));
    }
    expect(() => drawResamples({ size: 2, clusters: [0, 0], strata: [0, 1] }, 1, 1)).toThrow(/two strata/);
  });

  test('strata keep their sizes', () => {
    const strata = [0, 0, 0, 1, 1, 2];
    for (const draw of drawResamples({ size: 6, strata }, 4, 50)) {
      expect(draw.map((index) => strata[index] ?? -1)).toEqual(strata);
    }
  });

  test('a ratio of means is not a mean of ratios', () => {
    const measured = ratioInterval([1, 2, 9], [1, 4, 1], { seed: 1 });
    expect(measured.value).toBe(2);
    expect(() => ratioInterval([1, 2], [1, -1], { seed: 1 })).toThrow(/mean 0/);
  });

  test('what has no interval says why and is left out of the estimate', () => {
    const constant = meanInterval([0.1, 0.1, 0.1], { seed: 1 });
    expect(constant.degenerate).toContain('do not vary');
    expect(toEstimate(constant)).toEqual({ value: constant.value, se: expect.any(Number), n: 3 });
    expect(meanInterval([2], { seed: 1 }).degenerate).toContain('alone');
    const largest = bootstrapInterval((indices) => Math.max(...indices), 20, {
      seed: 1,
      resamples: 50,
      method: 'percentile',
    });
    expect(largest.interval).not.toBeNull();
    const broken = bootstrapInterval((indices) => (new Set(indices).size < 3 ? Number.NaN : 1), 3, { seed: 1 });
    expect(broken.degenerate).toContain('not finite');
    const outside = bootstrapInterval((indices) => (indices.join() === '0,1,2,3' ? 9 : (indices[0] ?? 0)), 4, {
      seed: 1,
      resamples: 100,
    });
    expect(outside.degenerate).toContain('one side');
    expect(() => meanInterval([], { seed: 1 })).toThrow(/at least 1/);
    expect(() => meanInterval([1, Number.NaN], { seed: 1 })).toThrow(/index 1/);
  });
});

describe('tests and corrections', () => {
  test('a permutation p is never 0, and under the null it is uniform', () => {
    expect(permutationP(10, [1, 2, 3])).toEqual({ p: 0.25, hits: 0, n: 3 });
    expect(permutationP(-10, [1, 2, 3])).toEqual({ p: 1, hits: 3, n: 3 });
    expect(permutationP(-10, [1, 2, 3], 'two_sided').p).toBe(0.25);
    expect(permutationP(-10, [1, 2, 3], 'less').p).toBe(0.25);
    const rejected = Array.from({ length: 400 }, (_, round) => {
      const [observed = 0, ...nulls] = normals(5000 + round, 100);
      return permutationP(observed, nulls).p <= 0.05 ? 1 : 0;
    });
    // 20 expected, standard deviation 4.4.
    expect(rejected.reduce((a: number, b) => a + b, 0)).toBeGreaterThan(6);
    expect(rejected.reduce((a: number, b) => a + b, 0)).toBeLessThan(35);
  });

  test('corrections never lower a p-value, keep the order, and stand in their known order', () => {
    const p = [0.03, 0.001, 0.2, 0.04, 0.5, 0.012];
    const [h, b, f] = [holm(p), bonferroni(p), benjaminiHochberg(p)];
    p.forEach((value, at) => {
      expect(f[at]).toBeGreaterThanOrEqual(value);
      expect(h[at]).toBeGreaterThanOrEqual(f[at] ?? 2);
      expect(b[at]).toBeGreaterThanOrEqual(h[at] ?? 2);
    });
    expect(Array.from(holm([]))).toEqual([]);
    expect(Array.from(holm([0.04]))).toEqual([0.04]);
    expect(() => holm([0.1, -0.1])).toThrow(/number 1/);
  });

  test('binomial tails equal sums over Pascal’s triangle', () => {
    const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n, k - 1) * (n - k + 1)) / k);
    for (const p of [0.1, 0.5, 0.83]) {
      for (let k = 0; k <= 12; k++) {
        let sum = 0;
        for (let at = 12; at >= k; at--) sum += choose(12, at) * p ** at * (1 - p) ** (12 - at);
        expect(binomialTail(k, 12, p)).toBeCloseTo(sum, 13);
      }
    }
    expect([binomialTail(0, 5, 0), binomialTail(1, 5, 0), binomialTail(5, 5, 1)]).toEqual([1, 0, 1]);
    // 2^-1000 is exact in doubles.
    expect(binomialTail(1000, 1000, 0.5) / 2 ** -1000).toBeCloseTo(1, 12);
    expect(() => binomialTail(3, 2, 0.5)).toThrow(/no count/);
  });

  test('a Wilson interval holds its share and stays in 0 to 1', () => {
    for (const [k, n] of [
      [0, 4],
      [4, 4],
      [3, 200],
      [100, 200],
    ] as const) {
      const measured = wilson(k, n);
      expect(covers(measured, k / n)).toBe(true);
      expect(measured.method).toBe('wilson');
      expect([(measured.interval?.[0] ?? -1) >= 0, (measured.interval?.[1] ?? 2) <= 1]).toEqual([true, true]);
    }
  });
});

describe('descriptions', () => {
  test('quantiles interpolate between order statistics', () => {
    expect([0, 0.25, 0.5, 0.9, 1].map((p) => quantile([4, 1, 3, 2], p))).toEqual([1, 1.75, 2.5, 3.7, 4]);
    expect(quantile([5], 0.3)).toBe(5);
    expect(() => quantile([1], 1.1)).toThrow(/0 to 1/);
  });

  test('effect sizes have their known values and refuse data without spread', () => {
    expect(variance([1, 2, 3, 4])).toBeCloseTo(5 / 3, 14);
    expect(dPrime([2, 4], [0, 2])).toMatchObject({ value: expect.closeTo(Math.SQRT2, 14), n: 4 });
    expect(hedgesG([2, 4], [0, 2]).value).toBeCloseTo(Math.SQRT2 * (1 - 3 / 7), 14);
    expect(() => dPrime([1, 1], [0, 0])).toThrow(/single value/);
    expect(() => hedgesG([1], [0, 2])).toThrow(/at least 2/);
  });

  test('a rank correlation sees order alone', () => {
    const x = normals(3, 20);
    expect(
      spearman(
        x,
        x.map((value) => value ** 3),
      ).value,
    ).toBeCloseTo(1, 14);
    expect(
      spearman(
        x,
        x.map((value) => -value),
      ).value,
    ).toBeCloseTo(-1, 14);
    expect(() => spearman([1, 1, 1], [1, 2, 3])).toThrow(/single value/);
  });
});
