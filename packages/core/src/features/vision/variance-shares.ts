import { CircuitscopeError } from '@circuitscope/schema';

export interface VarianceShares {
  /** Shares of the variance of all responses; they add up to 1. */
  readonly target: number;
  readonly nuisance: number;
  readonly interaction: number;
  /** Σ (response − mean)², before it is shared out. */
  readonly total: number;
}

/**
 * How much of a unit's variance is due to what it is said to see: the two-way decomposition of a full table without
 * repeats, y = mean + target + nuisance + interaction. All shares are 0 where nothing varies.
 * @param table [target level][nuisance level]
 */
export function varianceShares(table: readonly ArrayLike<number>[]): VarianceShares {
  const rows = table.map((row) => Float64Array.from(row));
  const width = rows[0]?.length ?? 0;
  if (rows.length < 2 || width < 2 || rows.some((row) => row.length !== width)) {
    throw new CircuitscopeError('bad_shape', 'A two-way decomposition needs a full table of at least 2 × 2.', {
      expected: 'rows of one length',
      got: rows.map((row) => row.length).join(', '),
    });
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const byTarget = rows.map((row) => mean([...row]));
  const byNuisance = Array.from({ length: width }, (_, column) => mean(rows.map((row) => row[column] ?? 0)));
  const grand = mean(byTarget);
  let total = 0;
  let interaction = 0;
  rows.forEach((row, i) => {
    row.forEach((value, j) => {
      total += (value - grand) ** 2;
      interaction += (value - (byTarget[i] ?? 0) - (byNuisance[j] ?? 0) + grand) ** 2;
    });
  });
  const squares = (means: readonly number[]): number => means.reduce((sum, value) => sum + (value - grand) ** 2, 0);
  const share = (part: number): number => (total === 0 ? 0 : part / total);
  return {
    target: share(width * squares(byTarget)),
    nuisance: share(rows.length * squares(byNuisance)),
    interaction: share(interaction),
    total,
  };
}
