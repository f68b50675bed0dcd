import { expect, test } from 'vitest';
import { chooseExecutor } from '../../plan/index.ts';
import { train } from '../train.ts';
import { findRecipe } from './index.ts';

// Known answers: Elhage et al., Toy Models of Superposition, 2022, and Lagrange conditions of the same loss.

const { executor } = await chooseExecutor();

async function trained(name: string, seed: number) {
  const { weights, log } = await train(findRecipe(name), { executor, seed, steps: 2000 });
  const metrics = log.at(-1)?.metrics ?? {};
  const of = (what: string) => Array.from({ length: 5 }, (_, i) => metrics[`${what}.${i}`] ?? Number.NaN);
  const W = weights.get('W')?.data ?? [];
  const angles = Array.from({ length: 5 }, (_, i) => (Math.atan2(W[5 + i] ?? 0, W[i] ?? 0) * 180) / Math.PI);
  return { norms: of('norm'), dimensionality: of('dimensionality'), angles, bias: weights.get('b_final')?.data ?? [] };
}

/** Degrees from each direction to the next one. */
function gaps(angles: readonly number[]): number[] {
  const sorted = [...angles].sort((a, b) => a - b);
  return sorted.map((angle, at) => (at + 1 < sorted.length ? (sorted[at + 1] ?? 0) : (sorted[0] ?? 0) + 360) - angle);
}

function near(values: Iterable<number>, expected: number, within: number): void {
  for (const value of values) expect(Math.abs(value - expected)).toBeLessThan(within);
}

test('features that are always active: the two most important ones at a right angle, the others their mean', {
  timeout: 60_000,
}, async () => {
  const { norms, angles, bias } = await trained('toy-superposition-dense', 1);
  near(norms.slice(0, 2), 1, 0.01);
  near(norms.slice(2), 0, 0.05);
  const apart = Math.abs((angles[0] ?? 0) - (angles[1] ?? 0)) % 180;
  near([apart], 90, 2);
  near(bias.slice(2), 0.5, 0.02);
});

test('active one time in five: two antipodal pairs, half a dimension each', { timeout: 60_000 }, async () => {
  const { norms, dimensionality, angles } = await trained('toy-superposition-pairs', 0);
  near(norms.slice(0, 4), 1, 0.02);
  near(norms.slice(4), 0, 0.05);
  near(dimensionality.slice(0, 4), 0.5, 0.01);
  near(gaps(angles.slice(0, 4)), 90, 2);
});

test('active one time in a hundred: a regular pentagon', { timeout: 60_000 }, async () => {
  const { norms, dimensionality, angles, bias } = await trained('toy-superposition', 0);
  near(norms, 1.16, 0.015);
  near(dimensionality, 0.4, 0.01);
  near(gaps(angles), 72, 2);
  near(bias, -0.27, 0.03);
});
