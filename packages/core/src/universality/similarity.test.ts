import { describe, expect, test } from 'vitest';
import { sharedFolder, sharedJson, withoutShared } from '../architectures/shared-data.ts';
import { type Matrix, multiply } from '../circuits/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { nativeExecutor, referenceExecutor } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { canonicalCorrelations, meanCca, svcca, weightedCca } from './canonical-correlations.ts';
import { decomposed } from './decompose.ts';
import { dissimilarities, rsa } from './dissimilarity.ts';
import { biasedCka, debiasedCka, type Representations } from './linear-cka.ts';
import { procrustes } from './procrustes.ts';

type Numbers = readonly number[];
interface Rsa {
  readonly pearson: number;
  readonly spearman: number;
  readonly kendall_tau_a: number;
  readonly cosine: number;
  readonly rdm_x_first_10: Numbers;
}
interface Expected {
  readonly cka_linear_biased: number;
  readonly cka_linear_debiased: number;
  readonly cca_correlations: Numbers;
  readonly cca_mean: number;
  readonly cca_mean_squared: number;
  readonly svcca_99: { readonly mean: number; readonly directions_x: number; readonly directions_y: number };
  readonly pwcca_weighted_by_first: number;
  readonly pwcca_weighted_by_second: number;
  readonly procrustes: {
    readonly squared_distance: number;
    readonly squared_distance_of_unit_norm: number;
    readonly angular: number;
  };
  readonly rsa: { readonly correlation: Rsa; readonly squared_euclidean_per_dimension: Rsa };
}
interface Record {
  readonly data: { readonly [name: string]: { readonly x: readonly Numbers[]; readonly y: readonly Numbers[] } };
  readonly expected: { readonly [name: string]: Expected };
}

const choice = await chooseNative({});
const executors = [
  { name: 'reference', executor: referenceExecutor() },
  ...(choice.kind === 'native' ? [{ name: 'native', executor: nativeExecutor(choice.addon) }] : []),
];

const matrix = (rows: readonly Numbers[]): Matrix => ({
  rows: rows.length,
  columns: rows[0]?.length ?? 0,
  data: Float64Array.from(rows.flat()),
});

describe.skipIf(sharedFolder === null)(
  `recorded by numpy and scipy${sharedFolder ? '' : ` (${withoutShared})`}`,
  () => {
    const { data, expected } = sharedFolder
      ? (sharedJson('golden', 'similarity', 'case.json') as Record)
      : { data: {}, expected: {} };
    const cases = Object.entries(data).flatMap(([name, sides]) => executors.map((run) => ({ name, sides, run })));
    for (const { name, sides, run } of cases) {
      test(`every measure of ${name} agrees to 1e-9, ${run.name}`, async () => {
        const both: Representations = { x: matrix(sides.x), y: matrix(sides.y) };
        const { executor } = run;
        const wanted = expected[name];
        if (!wanted) throw new Error(`nothing recorded for ${name}`);
        const near = (value: number) => expect.closeTo(value, 9);
        expect(biasedCka(both)).toEqual(near(wanted.cka_linear_biased));
        expect(debiasedCka(both)).toEqual(near(wanted.cka_linear_debiased));
        expect([...(await canonicalCorrelations(both, executor))]).toEqual(wanted.cca_correlations.map(near));
        expect(await meanCca(both, executor)).toEqual({
          mean: near(wanted.cca_mean),
          meanSquared: near(wanted.cca_mean_squared),
        });
        const { mean, directions_x: directionsX, directions_y: directionsY } = wanted.svcca_99;
        expect(await svcca(both, 0.99, executor)).toEqual({ mean: near(mean), directionsX, directionsY });
        expect(await weightedCca(both, executor)).toEqual(near(wanted.pwcca_weighted_by_first));
        expect(await weightedCca({ x: both.y, y: both.x }, executor)).toEqual(near(wanted.pwcca_weighted_by_second));
        const distance = await procrustes(both, executor);
        expect(distance.squaredDistance).toBeCloseTo(wanted.procrustes.squared_distance, 7);
        expect(distance.squaredOfUnitNorm).toEqual(near(wanted.procrustes.squared_distance_of_unit_norm));
        // Of a rotated copy: acos has no slope at 1, so 1e-16 there is 1e-8 here.
        expect(distance.angular).toBeCloseTo(wanted.procrustes.angular, 7);
        for (const kind of ['correlation', 'squared_euclidean_per_dimension'] as const) {
          const { kendall_tau_a: kendallTauA, rdm_x_first_10: first, ...rest } = wanted.rsa[kind];
          expect([...dissimilarities(both.x, kind).subarray(0, 10)]).toEqual(first.map(near));
          expect(rsa(both, kind)).toEqual({
            pearson: near(rest.pearson),
            spearman: near(rest.spearman),
            kendallTauA: near(kendallTauA),
            cosine: near(rest.cosine),
          });
        }
      });
    }
  },
);

describe('known answers', async () => {
  const random = (rows: number, columns: number, seed: number): Matrix => {
    const rng = new Rng(seed, 'test');
    return { rows, columns, data: Float64Array.from({ length: rows * columns }, () => rng.normal()) };
  };
  const x = random(300, 20, 1);
  const turned = multiply(x, (await decomposed(random(20, 20, 2))).left);
  const copy = { ...turned, data: turned.data.map((value) => 2.5 * value + 7) };

  test('a turned, scaled and moved copy is equal by CKA, CCA and angle', async () => {
    expect(biasedCka({ x, y: copy })).toBeCloseTo(1, 12);
    expect(debiasedCka({ x, y: copy })).toBeCloseTo(1, 12);
    expect((await meanCca({ x, y: copy })).mean).toBeCloseTo(1, 12);
    expect((await procrustes({ x, y: copy })).angular).toBeLessThan(1e-6);
  });

  test('a general linear map is seen by CKA and not by CCA', async () => {
    const mixed = multiply(x, random(20, 20, 3));
    expect(biasedCka({ x, y: mixed })).toBeLessThan(0.95);
    expect((await meanCca({ x, y: mixed })).mean).toBeCloseTo(1, 10);
  });

  test.each([
    [60, 300, 0.8],
    [64, 512, 0.85],
    [32, 256, 0.85],
  ])('noise of %i stimuli in %i dimensions: biased CKA above %f, debiased near 0', (rows, columns, bias) => {
    const both = { x: random(rows, columns, 4), y: random(rows, columns, 5) };
    expect(biasedCka(both)).toBeGreaterThan(bias);
    expect(Math.abs(debiasedCka(both))).toBeLessThan(0.1);
  });

  test('debiased CKA may be negative and is not clamped', () => {
    const values = Array.from({ length: 12 }, (_, seed) =>
      debiasedCka({ x: random(16, 40, 50 + seed), y: random(16, 40, 90 + seed) }),
    );
    expect(Math.min(...values)).toBeLessThan(0);
  });

  test('a tenth of the rows moved far away hides everything else from CKA', () => {
    const moved = { ...x, data: x.data.map((value, at) => (at < 30 * 20 && at % 20 === 0 ? value + 1000 : value)) };
    expect(biasedCka({ x, y: moved })).toBeLessThan(0.15);
  });

  test('CCA of noise with as many dimensions as stimuli is 1', async () => {
    expect((await meanCca({ x: random(20, 30, 6), y: random(20, 30, 7) })).mean).toBeCloseTo(1, 9);
  });

  test('noise lies near a right angle, and the angle obeys the triangle inequality', async () => {
    const sides = Array.from({ length: 6 }, (_, seed) => random(200, 10, 20 + seed));
    const angles = await Promise.all(
      sides.map((x) => Promise.all(sides.map(async (y) => (await procrustes({ x, y })).angular))),
    );
    const angle = (i: number, j: number): number => angles[i]?.[j] ?? Number.NaN;
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < i; j++) {
        expect(angle(i, j)).toBeGreaterThan(1.2);
        for (let k = 0; k < 6; k++) if (k !== i && k !== j) expect(angle(i, j)).toBeLessThan(angle(i, k) + angle(k, j));
      }
  });

  test('unequal stimuli and constant representations are errors', () => {
    expect(() => biasedCka({ x, y: random(3, 2, 8) })).toThrow(expect.objectContaining({ code: 'shape_mismatch' }));
    const flat = { ...x, data: x.data.map(() => 1) };
    expect(() => debiasedCka({ x, y: flat })).toThrow(expect.objectContaining({ code: 'constant' }));
  });
});
