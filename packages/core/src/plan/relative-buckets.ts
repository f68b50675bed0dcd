/** How the distance of query and key falls into one of `count` buckets. */
export interface BucketRule {
  readonly count: number;
  /** From here on all distances share a bucket. */
  readonly maxDistance: number;
  /** Only the past is told apart; else half of the buckets are for keys that come after the query. */
  readonly causal: boolean;
}

/**
 * Bucket of each pair [query, key]: short distances one each, longer ones by their logarithm. Raffel et al., T5, 2020.
 * The logarithm is taken in float32 step by step, as the models were trained with: at a border its rounding decides.
 */
export function relativeBuckets(length: number, { count, maxDistance, causal }: BucketRule): Int32Array {
  const perSide = causal ? count : Math.floor(count / 2);
  const exact = Math.floor(perSide / 2);
  const span = Math.fround(Math.log(maxDistance / exact));
  const bucketOf = (distance: number): number => {
    if (distance < exact) return distance;
    const share = Math.fround(Math.fround(Math.log(Math.fround(distance / exact))) / span);
    return Math.min(exact + Math.floor(Math.fround(share * (perSide - exact))), perSide - 1);
  };
  const byDistance = Array.from({ length }, (_, distance) => bucketOf(distance));
  const buckets = new Int32Array(length * length);
  for (let query = 0; query < length; query++) {
    for (let key = 0; key < length; key++) {
      const later = key > query;
      const distance = causal && later ? 0 : Math.abs(query - key);
      buckets[query * length + key] = (byDistance[distance] ?? 0) + (!causal && later ? perSide : 0);
    }
  }
  return buckets;
}
