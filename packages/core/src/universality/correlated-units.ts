import { CircuitscopeError } from '@circuitscope/schema';
import type { KernelResult } from '../kernels/index.ts';
import { type Executor, runKernel } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';

export interface CorrelatedUnitsOptions {
  /** Partners a unit gets at most. */
  readonly k?: number;
  /** By size: a unit that always does the opposite is a partner too. */
  readonly absolute?: boolean;
  readonly signal?: AbortSignal;
}

/** Of unit i partner j stands at i·k + j, best first; value 0 and index −1 where there are fewer. */
export interface CorrelatedUnits {
  readonly k: number;
  /** Pearson correlations, signed. */
  readonly correlations: Float32Array;
  /** Columns of b. */
  readonly partners: Int32Array;
}

/**
 * For each unit of one model the units of another that correlate most with it over the same stimuli (Li et al. 2015; over
 * seeds Gurnee et al. 2024). `a` is [stimuli, units]; `b` comes in parts of columns, [stimuli, some units] each, so that
 * neither all of it nor the table of all pairs is ever held, and how it is cut changes no bit. Ties go to the earlier column.
 * A unit that is constant over the stimuli, or not finite, has no correlation: it gets no partner and is nobody's. Many
 * stimuli are needed: the largest of q correlations of unrelated units is about √(2 ln q / stimuli).
 * @throws CircuitscopeError `shape_mismatch`
 */
export async function correlatedUnits(
  executor: Executor,
  a: Tensor,
  b: Iterable<Tensor> | AsyncIterable<Tensor>,
  { k = 1, absolute = false, signal }: CorrelatedUnitsOptions = {},
): Promise<CorrelatedUnits> {
  const [stimuli = 0, units = 0] = a.shape;
  const shape = [units, k];
  let first = 0;
  let found: KernelResult = [null, null];
  for await (const part of b) {
    const [rows, columns = 0] = part.shape;
    if (a.shape.length !== 2 || part.shape.length !== 2 || rows !== stimuli) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `Units are compared on the same stimuli; got [${a.shape.join(', ')}] and [${part.shape.join(', ')}].`,
        { expected: `[${stimuli}, units]`, got: `[${part.shape.join(', ')}]` },
      );
    }
    found = await runKernel(
      executor,
      {
        kernel: 'correlate_top_k',
        inputs: [a, part, ...found],
        params: [],
        attrs: { k, absolute, first },
        outShapes: [shape, shape],
        wanted: [true, true],
      },
      signal ? { signal } : {},
    );
    first += columns;
  }
  const [correlations, partners] = found;
  return {
    k,
    correlations: Float32Array.from(correlations?.data ?? new Float32Array(units * k)),
    partners: partners ? Int32Array.from(partners.data) : new Int32Array(units * k).fill(-1),
  };
}
