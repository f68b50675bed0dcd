// Orders every row of a layered graph so that few edges cross: barycentre sweeps (Sugiyama, Tagawa and Toda, 1981) up
// and down, then exchanges of neighbours while one helps. Deterministic: ties keep the order they came in.

/** A piece of an edge from an item of `rows[row]` up to an item of `rows[row + 1]`. */
export interface Segment {
  readonly row: number;
  readonly lower: number;
  readonly upper: number;
  /** Where it arrives, as a fraction of the item's width from its middle (-0.5 … 0.5). */
  readonly upperPort: number;
  readonly weight: number;
}

const SWEEPS = 12;
/** Exchanging neighbours costs items times segments; past this many segments the sweeps alone must do. */
const EXCHANGE_LIMIT = 300;

/** The rows with their items reordered. */
export function orderRows(
  rows: readonly (readonly number[])[],
  segments: readonly Segment[],
): readonly (readonly number[])[] {
  const byRow = rows.map((_, row) => segments.filter((segment) => segment.row === row));
  const cost = (order: readonly (readonly number[])[]) =>
    byRow.reduce((sum, list, row) => sum + crossings(list, order[row] ?? [], order[row + 1] ?? []), 0);

  let current = rows.map((row) => [...row]);
  let best = current.map((row) => [...row]);
  let bestCost = cost(best);
  for (let sweep = 0; sweep < SWEEPS && bestCost > 0; sweep++) {
    const up = sweep % 2 === 0;
    for (let step = 1; step < rows.length; step++) {
      const row = up ? step : rows.length - 1 - step;
      current[row] = up
        ? byBarycentre(current[row]!, current[row - 1]!, byRow[row - 1]!, true)
        : byBarycentre(current[row]!, current[row + 1]!, byRow[row]!, false);
    }
    if (segments.length <= EXCHANGE_LIMIT) current = exchange(current, byRow);
    const now = cost(current);
    if (now < bestCost) {
      bestCost = now;
      best = current.map((row) => [...row]);
    }
  }
  return best;
}

/** Weighted crossings of the segments between two rows: the sum over crossing pairs of the product of their weights. */
export function crossings(segments: readonly Segment[], lower: readonly number[], upper: readonly number[]): number {
  const lowerAt = positions(lower);
  const upperAt = positions(upper);
  const ends = segments
    .map((segment) => ({
      low: lowerAt.get(segment.lower) ?? 0,
      high: (upperAt.get(segment.upper) ?? 0) + segment.upperPort,
      weight: segment.weight,
    }))
    .sort((a, b) => a.low - b.low || a.high - b.high);
  // Inversions by a Fenwick tree over the ranks of the upper ends: O(n log n), needed for thousands of edges.
  const heights = [...new Set(ends.map((end) => end.high))].sort((a, b) => a - b);
  const rank = new Map(heights.map((height, i) => [height, i + 1]));
  const tree = new Float64Array(heights.length + 1);
  let total = 0;
  let seen = 0;
  for (let i = 0; i < ends.length; ) {
    // Segments that leave the same point do not cross each other: they are counted before any of them is entered.
    let next = i;
    while (next < ends.length && ends[next]!.low === ends[i]!.low) next++;
    for (let j = i; j < next; j++) {
      let below = 0;
      for (let k = rank.get(ends[j]!.high)!; k > 0; k -= k & -k) below += tree[k]!;
      total += ends[j]!.weight * (seen - below);
    }
    for (let j = i; j < next; j++) {
      for (let k = rank.get(ends[j]!.high)!; k <= heights.length; k += k & -k) tree[k]! += ends[j]!.weight;
      seen += ends[j]!.weight;
    }
    i = next;
  }
  return total;
}

function positions(row: readonly number[]): Map<number, number> {
  return new Map(row.map((item, i) => [item, i]));
}

function byBarycentre(row: number[], fixed: number[], segments: readonly Segment[], rowIsUpper: boolean): number[] {
  const at = positions(fixed);
  const sums = new Map<number, { sum: number; weight: number }>();
  for (const segment of segments) {
    const item = rowIsUpper ? segment.upper : segment.lower;
    const other = rowIsUpper ? segment.lower : segment.upper;
    const port = rowIsUpper ? 0 : segment.upperPort;
    const entry = sums.get(item) ?? { sum: 0, weight: 0 };
    entry.sum += segment.weight * ((at.get(other) ?? 0) + port);
    entry.weight += segment.weight;
    sums.set(item, entry);
  }
  // An item without neighbours keeps its place: it is compared by where it stands now, scaled to the fixed row.
  const scale = fixed.length > 1 && row.length > 1 ? (fixed.length - 1) / (row.length - 1) : 1;
  return row
    .map((item, i) => {
      const entry = sums.get(item);
      return { item, i, centre: entry && entry.weight > 0 ? entry.sum / entry.weight : i * scale };
    })
    .sort((a, b) => a.centre - b.centre || a.i - b.i)
    .map((entry) => entry.item);
}

function exchange(rows: number[][], byRow: readonly (readonly Segment[])[]): number[][] {
  let improved = true;
  for (let round = 0; improved && round < 8; round++) {
    improved = false;
    rows.forEach((row, r) => {
      const around = (order: number[]) =>
        (r > 0 ? crossings(byRow[r - 1]!, rows[r - 1]!, order) : 0) +
        (r + 1 < rows.length ? crossings(byRow[r]!, order, rows[r + 1]!) : 0);
      let now = around(row);
      for (let i = 0; i + 1 < row.length && now > 0; i++) {
        [row[i], row[i + 1]] = [row[i + 1]!, row[i]!];
        const swapped = around(row);
        if (swapped < now) {
          now = swapped;
          improved = true;
        } else [row[i], row[i + 1]] = [row[i + 1]!, row[i]!];
      }
    });
  }
  return rows;
}
