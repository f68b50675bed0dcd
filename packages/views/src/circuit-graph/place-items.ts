// Across the rows: sweeps in which each row moves towards the mean of its neighbours, lines that jump rows counting most
// so that they run straight. Each row is then solved exactly by `placeRow`.

import type { Segment } from './order-rows.ts';
import { placeRow } from './place-row.ts';

export interface PlacedSegment extends Segment {
  /** Distance of the arrival from the middle of the upper item, in pixels. */
  readonly upperDx: number;
}

export interface LayoutItem {
  readonly row: number;
  /** With the margins on both sides. */
  readonly width: number;
  /** False for a stand-in of a line that passes by. */
  readonly isNode: boolean;
}

const SWEEPS = 24;

/** Middle of every item, around 0 and within `inner / 2` of it where the rows fit. */
export function placeItems(
  items: readonly LayoutItem[],
  rows: readonly (readonly number[])[],
  segments: readonly PlacedSegment[],
  inner: number,
): Float64Array {
  const touching: PlacedSegment[][] = items.map(() => []);
  for (const segment of segments) {
    touching[segment.lower]!.push(segment);
    touching[segment.upper]!.push(segment);
  }
  const xs = new Float64Array(items.length);

  const pull = (i: number) => {
    let sum = 0;
    // A weak pull to the middle keeps unconnected items in the drawing and makes the result unique.
    let weight = 0.05;
    for (const segment of touching[i]!) {
      const isLower = segment.lower === i;
      const other = isLower ? segment.upper : segment.lower;
      const straightness = items[i]!.isNode ? 1 : items[other]!.isNode ? 2 : 8;
      const w = segment.weight * straightness;
      sum += w * (xs[other]! + (isLower ? segment.upperDx : -segment.upperDx));
      weight += w;
    }
    return { wish: sum / weight, weight };
  };

  const settle = (row: readonly number[], wishes: readonly { readonly wish: number; readonly weight: number }[]) => {
    const placed = placeRow(
      row.map((i, k) => ({ ...wishes[k]!, width: items[i]!.width })),
      0,
    );
    if (placed.length === 0) return;
    const first = placed[0]! - items[row[0]!]!.width / 2;
    const last = placed.at(-1)! + items[row.at(-1)!]!.width / 2;
    // A row that fits may drift as a whole, but not out of the room.
    const slack = Math.max(0, (inner - (last - first)) / 2);
    const middle = (first + last) / 2;
    const drift = Math.min(slack, Math.max(-slack, middle)) - middle;
    row.forEach((i, k) => {
      xs[i] = placed[k]! + drift;
    });
  };

  for (const row of rows)
    settle(
      row,
      row.map(() => ({ wish: 0, weight: 1 })),
    );
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const row of sweep % 2 === 0 ? rows : [...rows].reverse()) settle(row, row.map(pull));
  }
  return xs;
}
