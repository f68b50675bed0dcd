import { multiply, transposed } from '../circuits/index.ts';
import type { Executor } from '../plan/index.ts';
import { decomposed } from './decompose.ts';
import { centredColumns, checkRows, type Representations, requireSpread, squared } from './linear-cka.ts';

/** Distances, not scores: 0 is equal. */
export interface Procrustes {
  /** min over rotations Q of |X − YQ|² = |X|² + |Y|² − 2|XᵀY|_*, columns centred. */
  readonly squaredDistance: number;
  /** The same after each side is scaled to norm 1, from 0 to 2. */
  readonly squaredOfUnitNorm: number;
  /** acos(|XᵀY|_* / (|X||Y|)), from 0 to π/2; a metric, so models may be clustered by it. */
  readonly angular: number;
}

/** Orthogonal Procrustes distance (Schönemann 1966; as a metric between networks Williams et al. 2021). */
export async function procrustes({ x, y }: Representations, executor?: Executor): Promise<Procrustes> {
  checkRows({ x, y }, 2);
  const [a, b] = [centredColumns(x), centredColumns(y)];
  const { values } = await decomposed(multiply(transposed(a), b), executor);
  const nuclear = values.reduce((sum, value) => sum + value, 0);
  const [sizeA, sizeB] = [requireSpread(squared(a)), requireSpread(squared(b))];
  const cosine = nuclear / Math.sqrt(sizeA * sizeB);
  return {
    squaredDistance: sizeA + sizeB - 2 * nuclear,
    squaredOfUnitNorm: 2 - 2 * cosine,
    angular: Math.acos(Math.min(cosine, 1)),
  };
}
