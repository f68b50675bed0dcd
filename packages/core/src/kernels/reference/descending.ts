/**
 * The total order of every top-k: value descending, NaN before all numbers, −0 equal to +0, ties by index ascending.
 * Negative if entry a (value, index) comes first. Total, so the result depends on nothing but the values.
 */
export function descending(aValue: number, aIndex: number, bValue: number, bIndex: number): number {
  if (aValue > bValue) return -1;
  if (aValue < bValue) return 1;
  const aNaN = Number.isNaN(aValue);
  if (aNaN !== Number.isNaN(bValue)) return aNaN ? -1 : 1;
  return aIndex - bIndex;
}

/** The indices of the first k of `candidates` in that order; fewer if there are fewer. */
export function firstInOrder(valueAt: (index: number) => number, candidates: readonly number[], k: number): number[] {
  return [...candidates].sort((a, b) => descending(valueAt(a), a, valueAt(b), b)).slice(0, k);
}
