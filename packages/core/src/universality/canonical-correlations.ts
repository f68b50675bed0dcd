import { type Matrix, multiply, transposed } from '../circuits/index.ts';
import type { Executor } from '../plan/index.ts';
import { decomposed } from './decompose.ts';
import { centredColumns, checkRows, type Representations } from './linear-cka.ts';

// Canonical correlations: how far linear readings of one representation can agree with linear readings of the other. They
// do not change under any invertible linear map, so they say nothing about a basis, and with few stimuli they are near 1
// for noise.

/** ρ₁ ≥ ρ₂ ≥ …, as many as the smaller rank. */
export async function canonicalCorrelations({ x, y }: Representations, executor?: Executor): Promise<Float64Array> {
  checkRows({ x, y }, 2);
  return correlationsOf(await basisOf(x, executor), await basisOf(y, executor), executor);
}

/** Mean of the canonical correlations, and of their squares: two numbers that go under one name. */
export async function meanCca(
  both: Representations,
  executor?: Executor,
): Promise<{ readonly mean: number; readonly meanSquared: number }> {
  const values = await canonicalCorrelations(both, executor);
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    meanSquared: values.reduce((sum, value) => sum + value * value, 0) / values.length,
  };
}

/**
 * SVCCA (Raghu et al. 2017): each side projected on its first singular directions, as few as hold `variance` of the
 * whole, then the mean canonical correlation. The share that is kept changes the answer, so it stands beside it.
 */
export async function svcca(
  { x, y }: Representations,
  variance = 0.99,
  executor?: Executor,
): Promise<{ readonly mean: number; readonly directionsX: number; readonly directionsY: number }> {
  checkRows({ x, y }, 2);
  const kept = async (side: Matrix): Promise<Matrix> => {
    const { left, values } = await decomposed(centredColumns(side), executor);
    const total = values.reduce((sum, value) => sum + value * value, 0);
    let held = 0;
    let count = 0;
    while (count < values.length && held < variance * total) held += (values[count++] as number) ** 2;
    return firstColumns(left, count);
  };
  const [a, b] = [await kept(x), await kept(y)];
  const values = await correlationsOf(a, b, executor);
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    directionsX: a.columns,
    directionsY: b.columns,
  };
}

/**
 * Canonical correlations weighted by how much of the first side each variate carries (PWCCA, Morcos et al. 2018):
 * Σ aᵢρᵢ / Σ aᵢ, aᵢ = Σⱼ |⟨hᵢ, xⱼ⟩|. Not symmetric: swap the sides for the other weighting.
 */
export async function weightedCca({ x, y }: Representations, executor?: Executor): Promise<number> {
  checkRows({ x, y }, 2);
  const centred = centredColumns(x);
  const basis = await basisOf(x, executor);
  const { left, values } = await decomposed(multiply(transposed(basis), await basisOf(y, executor)), executor);
  const onto = multiply(transposed(multiply(basis, left)), centred);
  const weights = Array.from(values, (_, i) =>
    onto.data.subarray(i * onto.columns, (i + 1) * onto.columns).reduce((sum, value) => sum + Math.abs(value), 0),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return values.reduce((sum, value, i) => sum + Math.min(value, 1) * (weights[i] as number), 0) / total;
}

async function correlationsOf(a: Matrix, b: Matrix, executor?: Executor): Promise<Float64Array> {
  const { values } = await decomposed(multiply(transposed(a), b), executor);
  // Above 1 by rounding alone.
  return values.map((value) => Math.min(value, 1));
}

/** An orthonormal basis of the centred columns; directions without variance are left out. */
async function basisOf(side: Matrix, executor?: Executor): Promise<Matrix> {
  const { left, values } = await decomposed(centredColumns(side), executor);
  const largest = values[0] ?? 0;
  return firstColumns(left, values.filter((value) => value > 1e-12 * largest).length);
}

function firstColumns({ rows, columns, data }: Matrix, count: number): Matrix {
  return {
    rows,
    columns: count,
    data: Float64Array.from(
      { length: rows * count },
      (_, at) => data[Math.floor(at / count) * columns + (at % count)] as number,
    ),
  };
}
