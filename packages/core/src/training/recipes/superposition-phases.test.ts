import { describe, expect, test } from 'vitest';
import { chooseExecutor } from '../../plan/index.ts';
import { Rng, type Tensor } from '../../tensor/index.ts';
import { antipodalLoss, crossover, dedicatedLoss } from './superposition-bounds.ts';
import { bestOfSeeds, phaseCell, superpositionLoss } from './superposition-phases.ts';
import { featureGeometry } from './toy-superposition.ts';

const { executor } = await chooseExecutor();

const matrix = (rows: readonly (readonly number[])[]): Tensor => ({
  shape: [rows.length, rows[0]?.length ?? 0],
  data: Float64Array.from(rows.flat()),
});
const weightsOf = (W: Tensor, b: readonly number[]): ReadonlyMap<string, Tensor> =>
  new Map([
    ['W', W],
    ['b_final', { shape: [b.length], data: Float64Array.from(b) }],
  ]);

describe('two features in one dimension', () => {
  test('cost by hand-written weights what the formulas say', () => {
    for (const [ratio, p] of [
      [1, 0.3],
      [0.5, 0.5],
      [0.1, 0.15],
      [0.25, 1],
    ] as const) {
      const sizes = { features: 2, hidden: 1, sparsity: 1 - p, decay: ratio };
      const alone = superpositionLoss(weightsOf(matrix([[1, 0]]), [0, p / 2]), sizes);
      const opposite = superpositionLoss(weightsOf(matrix([[1, -1]]), [0, 0]), sizes);
      expect(Math.abs(alone / dedicatedLoss(ratio, p) - 1), `dedicated ${ratio} ${p}`).toBeLessThan(0.02);
      expect(Math.abs(opposite / antipodalLoss(ratio, p) - 1), `antipodal ${ratio} ${p}`).toBeLessThan(0.02);
    }
  });

  test('cost the same at the crossover, .571, .444, .308, .160 by ratio; below it sharing is cheaper', () => {
    const points = [1, 0.5, 0.25, 0.1].map((ratio) => {
      const p = crossover(ratio);
      expect(antipodalLoss(ratio, p)).toBeCloseTo(dedicatedLoss(ratio, p), 12);
      expect(antipodalLoss(ratio, 0.9 * p)).toBeLessThan(dedicatedLoss(ratio, 0.9 * p));
      expect(antipodalLoss(ratio, 1.1 * p)).toBeGreaterThan(dedicatedLoss(ratio, 1.1 * p));
      return p;
    });
    expect(points.map((p) => Number(p.toFixed(3)))).toEqual([0.571, 0.444, 0.308, 0.16]);
  });

  test('are learnt apart above the crossover and as opposites below it, never worse than either formula', {
    timeout: 120_000,
  }, async () => {
    // Weights of one sign stay so: 0 and 1 start like that, 4 does not.
    const options = { executor, seeds: [0, 1, 4], steps: 800 };
    for (const [ratio, probability, found] of [
      [0.5, 0.55, 'dedicated'],
      [0.5, 0.35, 'antipodal'],
      [0.1, 0.2, 'dedicated'],
      [0.1, 0.12, 'antipodal'],
    ] as const) {
      const cell = await phaseCell({ ratio, probability }, options);
      expect(cell.found, `${ratio} ${probability}`).toBe(found);
      expect(cell.loss).toBeLessThan(1.03 * Math.min(cell.dedicated, cell.antipodal));
    }
  });
});

describe('the best of several starts', () => {
  const sizes = { features: 5, hidden: 2, sparsity: 0.9, decay: 0.9 };

  test('is a pentagon at a tenth of activity, where single starts end in two pairs and cost more', {
    timeout: 120_000,
  }, async () => {
    const { seed, loss, losses, weights } = await bestOfSeeds(sizes, { executor, seeds: [0, 3], steps: 1500 });
    expect([seed, loss]).toEqual([3, losses[1]]);
    const W = weights.get('W');
    if (!W) throw new Error('no W');
    for (const share of featureGeometry(W).dimensionality) expect(Math.abs(share - 0.4)).toBeLessThan(0.03);
    expect(losses[0]).toBeGreaterThan(1.1 * loss);
  });

  test('of none is refused', async () => {
    await expect(bestOfSeeds(sizes, { executor, seeds: [], steps: 1 })).rejects.toMatchObject({ code: 'no_seeds' });
  });
});

describe('the shares of a dimension', () => {
  const circle = (angles: readonly number[]): Tensor => {
    const turned = angles.map((angle) => (angle * Math.PI) / 180);
    return matrix([turned.map(Math.cos), turned.map(Math.sin)]);
  };

  test('are 2/5 in a pentagon, 2/3 in a triangle, 1/2 in antipodal pairs, 1 alone', () => {
    for (const [angles, share] of [
      [[0, 72, 144, 216, 288], 2 / 5],
      [[0, 120, 240], 2 / 3],
      [[10, 190, 100, 280], 1 / 2],
      [[0, 90], 1],
    ] as const) {
      const { dimensionality, norms } = featureGeometry(circle(angles));
      for (const one of dimensionality) expect(one).toBeCloseTo(share, 12);
      for (const norm of norms) expect(norm).toBeCloseTo(1, 12);
    }
  });

  test('sum to the number of dimensions at most, whatever the weights', () => {
    const rng = new Rng(1, 'superposition-phases.test');
    for (let trial = 0; trial < 50; trial++) {
      const [hidden, features] = [1 + rng.below(5), 1 + rng.below(20)];
      const W = matrix(Array.from({ length: hidden }, () => Array.from({ length: features }, () => rng.normal())));
      const sum = featureGeometry(W).dimensionality.reduce((a, b) => a + b, 0);
      expect(sum).toBeLessThanOrEqual(Math.min(hidden, features) + 1e-9);
    }
  });
});
