import { CircuitscopeError } from '@circuitscope/schema';

/** A matrix in float64, row by row. */
export interface Dense {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * The matrix over the power of two next to its largest entry, and that power: squares of what is left neither overflow nor
 * vanish, and no bit is lost but of entries that are nothing beside the largest. @throws CircuitscopeError `not_finite`
 */
export function scaledDown(matrix: Dense, what: string): { readonly scaled: Dense; readonly power: number } {
  let largest = 0;
  for (const [at, value] of matrix.data.entries()) {
    if (!Number.isFinite(value)) {
      throw new CircuitscopeError('not_finite', `${what} with entries that are not finite cannot be decomposed.`, {
        at: `[${Math.floor(at / matrix.columns)}, ${at % matrix.columns}]`,
        got: String(value),
      });
    }
    largest = Math.max(largest, Math.abs(value));
  }
  const power = powerAbove(largest);
  if (power === 1) return { scaled: matrix, power };
  return { scaled: { ...matrix, data: matrix.data.map((value) => value / power) }, power };
}

/** The least power of two above `value`, at most 2^1023; 1 for 0. Exact: no logarithm that runtimes round differently. */
function powerAbove(value: number): number {
  if (value === 0) return 1;
  let power = 1;
  while (power <= value && power < 2 ** 1023) power *= 2;
  while (power / 2 > value && power > 2 ** -1022) power /= 2;
  return power;
}

/** Turns columns of all `sides` around together so that in each of the first the largest entry, the first of equals, is positive. */
export function fixSigns(first: Dense, ...others: readonly Dense[]): void {
  for (let column = 0; column < first.columns; column++) {
    let largest = 0;
    for (let at = column; at < first.data.length; at += first.columns) {
      const value = first.data[at] as number;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    if (largest >= 0) continue;
    for (const { data, columns } of [first, ...others])
      for (let at = column; at < data.length; at += columns) data[at] = -(data[at] as number);
  }
}
