import type { Matrix } from '../circuits/index.ts';
import type { KernelName } from '../kernels/index.ts';
import { type Executor, referenceExecutor, runKernel } from '../plan/index.ts';
import { tensor } from '../tensor/index.ts';

export interface Decomposed {
  /** [n, r], columns orthonormal where the singular value is above 0. */
  readonly left: Matrix;
  /** r = min(n, p) values, largest first. */
  readonly values: Float64Array;
  /** [p, r] */
  readonly right: Matrix;
}

export interface Eigenvalue {
  readonly re: number;
  readonly im: number;
}

const plain = referenceExecutor();

/**
 * Thin singular value decomposition A = U S Vᵀ, on the executor that is given; the reference is meant for up to a few hundred
 * columns. @throws CircuitscopeError `not_finite`, `no_convergence`
 */
export async function decomposed(a: Matrix, executor: Executor = plain): Promise<Decomposed> {
  const r = Math.min(a.rows, a.columns);
  const [left, values, right] = await doubles(executor, 'svd', a, [[a.rows, r], [r], [a.columns, r]]);
  return {
    left: { rows: a.rows, columns: r, data: left ?? new Float64Array() },
    values: values ?? new Float64Array(),
    right: { rows: a.columns, columns: r, data: right ?? new Float64Array() },
  };
}

/** Eigenvalues of a square matrix. @throws CircuitscopeError `bad_shape`, `not_finite`, `no_convergence` */
export async function eigenvalues(a: Matrix, executor: Executor = plain): Promise<readonly Eigenvalue[]> {
  const [re, im] = await doubles(executor, 'eigenvalues', a, [[a.rows], [a.rows]]);
  return Array.from(re ?? [], (value, at) => ({ re: value, im: im?.[at] ?? 0 }));
}

async function doubles(
  executor: Executor,
  kernel: KernelName,
  { rows, columns, data }: Matrix,
  outShapes: readonly (readonly number[])[],
): Promise<readonly (Float64Array | undefined)[]> {
  const call = { kernel, inputs: [tensor([rows, columns], data)], params: [], attrs: {}, outShapes };
  const results = await runKernel(executor, { ...call, wanted: outShapes.map(() => true) });
  return results.map((result) => (result?.data instanceof Float64Array ? result.data : undefined));
}
