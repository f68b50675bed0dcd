import { describe, expect, test } from 'vitest';
import { Rng } from '../tensor/index.ts';
import { type Merge, mergePairs } from './merge-pairs.ts';

/** The loop of llama2.c: look at all pairs, merge the best, start again. */
function slowly(ids: readonly number[], mergeOf: (left: number, right: number) => Merge | undefined): number[] {
  const list = [...ids];
  for (;;) {
    let best: Merge | undefined;
    let place = -1;
    for (let i = 0; i + 1 < list.length; i++) {
      const merge = mergeOf(list[i]!, list[i + 1]!);
      if (merge && (!best || merge.score > best.score)) [best, place] = [merge, i];
    }
    if (!best) return list;
    list.splice(place, 2, best.id);
  }
}

describe('mergePairs', () => {
  test('merges the best pair first and the leftmost among equals', () => {
    const merges: Record<string, Merge> = { '1,1': { id: 2, score: 1 }, '2,1': { id: 3, score: 2 } };
    const mergeOf = (a: number, b: number) => merges[`${a},${b}`];
    expect(mergePairs([1, 1, 1, 1], mergeOf)).toEqual([3, 1]); // 1 1|1 1 → 2 1 1 → 3 1
    expect(mergePairs([], mergeOf)).toEqual([]);
    expect(mergePairs([7], mergeOf)).toEqual([7]);
  });

  test('equals the loop over all pairs on 3,000 random sequences and random merge tables with ties', () => {
    const random = new Rng(11, 'merge-pairs');
    for (let round = 0; round < 3000; round++) {
      const table = new Map<string, Merge>();
      for (let n = random.below(30); n > 0; n--) {
        table.set(`${random.below(6)},${random.below(6)}`, { id: random.below(6), score: random.below(5) });
      }
      const mergeOf = (a: number, b: number) => table.get(`${a},${b}`);
      const ids = Array.from({ length: random.below(40) }, () => random.below(6));
      expect(mergePairs(ids, mergeOf)).toEqual(slowly(ids, mergeOf));
    }
  });

  test('262,144 symbols that all merge take no quadratic time', () => {
    const before = performance.now();
    const merged = mergePairs(new Array<number>(2 ** 18).fill(0), (a, b) =>
      a === b && a < 10 ? { id: a + 1, score: -a } : undefined,
    );
    expect(merged.length).toBe(256);
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});
