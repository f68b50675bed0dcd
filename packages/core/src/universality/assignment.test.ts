import { expect, test } from 'vitest';
import { assign } from '../kernels/index.ts';
import { Rng } from '../tensor/index.ts';

/** The least cost by trying every arrangement. */
function bruteForce(costs: readonly number[], rows: number, columns: number): number {
  const used = new Set<number>();
  const free = Math.max(rows - columns, 0);
  const visit = (row: number, left: number): number => {
    if (row === rows) return 0;
    let best = left > 0 ? visit(row + 1, left - 1) : Number.POSITIVE_INFINITY;
    for (let column = 0; column < columns; column++) {
      if (used.has(column)) continue;
      used.add(column);
      best = Math.min(best, (costs[row * columns + column] as number) + visit(row + 1, left));
      used.delete(column);
    }
    return best;
  };
  return visit(0, free);
}

test('no arrangement of random tables, square or not, ties included, costs less', () => {
  const rng = new Rng(1, 'test');
  for (let trial = 0; trial < 300; trial++) {
    const [rows, columns] = [1 + rng.below(6), 1 + rng.below(6)];
    const whole = trial % 2 === 0;
    const costs = Array.from({ length: rows * columns }, () => (whole ? rng.below(4) : rng.normal()));
    const { columns: chosen, cost } = assign(costs, rows, columns);
    const taken = chosen.filter((column) => column >= 0);
    expect(new Set(taken).size).toBe(Math.min(rows, columns));
    expect(taken).toHaveLength(Math.min(rows, columns));
    const sum = chosen.reduce(
      (total, column, row) => total + (column < 0 ? 0 : (costs[row * columns + column] ?? 0)),
      0,
    );
    expect(cost).toBeCloseTo(sum, 10);
    expect(cost).toBeCloseTo(bruteForce(costs, rows, columns), 10);
  }
});

test('a permuted identity is found again', () => {
  const rng = new Rng(2, 'test');
  const order = rng.shuffle(Array.from({ length: 60 }, (_, at) => at));
  const costs = Array.from({ length: 3600 }, (_, at) => (order[Math.floor(at / 60)] === at % 60 ? 0 : 1 + rng.float()));
  expect(assign(costs, 60, 60).columns).toEqual(order);
});

test('costs that are not finite or too few are errors', () => {
  expect(() => assign([1, Number.NaN], 1, 2)).toThrow(expect.objectContaining({ code: 'not_finite' }));
  expect(() => assign([1], 1, 2)).toThrow(expect.objectContaining({ code: 'shape_mismatch' }));
});
