import { expect, test } from 'vitest';
import { type BucketRule, relativeBuckets } from './relative-buckets.ts';

/** The bucket of a distance in whole numbers alone: m more than `exact` where (d/exact)^(n−exact) ≥ (max/exact)^m. */
function exactBucket(distance: number, { count, maxDistance, causal }: BucketRule): number {
  const perSide = causal ? count : count / 2;
  const exact = perSide / 2;
  if (distance < exact) return distance;
  const power = BigInt(perSide - exact);
  const reaches = (m: bigint): boolean =>
    BigInt(distance) ** power * BigInt(exact) ** m >= BigInt(maxDistance) ** m * BigInt(exact) ** power;
  let more = 0;
  while (more < perSide && reaches(BigInt(more + 1))) more++;
  return Math.min(exact + more, perSide - 1);
}

test.each([
  { count: 32, maxDistance: 128, causal: false },
  { count: 32, maxDistance: 128, causal: true },
  { count: 16, maxDistance: 20, causal: false },
  { count: 16, maxDistance: 20, causal: true },
])('distances fall where their logarithm says, at every border: %o', (rule) => {
  const length = 150;
  const buckets = relativeBuckets(length, rule);
  const half = rule.causal ? 0 : rule.count / 2;
  for (let query = 0; query < length; query++) {
    for (let key = 0; key < length; key++) {
      const later = key > query;
      const expected = rule.causal && later ? 0 : exactBucket(Math.abs(query - key), rule) + (later ? half : 0);
      expect(buckets[query * length + key], `${query}, ${key}`).toBe(expected);
    }
  }
});
