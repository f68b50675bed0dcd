import type { ReaderRef } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';

// Query heads may share a key/value head (grouped heads). A reader `1.0.K` is then the key head 0 of layer 1, which several
// query heads read through: an edge into it goes to all of them at once and cannot be cut for one alone.

export type HeadReader = Extract<ReaderRef, { kind: 'head' }>;

export interface HeadCounts {
  readonly heads: number;
  readonly kvHeads: number;
}

/** The query heads behind a reader: its own for q, all that share it for k and v. */
export function queryHeads(
  { port, head }: Pick<HeadReader, 'port' | 'head'>,
  { heads, kvHeads }: HeadCounts,
): number[] {
  if (port === 'q') return [head];
  const group = heads / kvHeads;
  return Array.from({ length: group }, (_, index) => head * group + index);
}

/** Heads of each layer, counted from all the edges of a decomposition. */
export function headCounts(all: readonly Edge[]): ReadonlyMap<number, HeadCounts> {
  const counts = new Map<number, { heads: number; kvHeads: number }>();
  for (const { to } of all) {
    if (to.kind !== 'head') continue;
    const count = counts.get(to.layer) ?? { heads: 0, kvHeads: 0 };
    if (to.port === 'q') count.heads = Math.max(count.heads, to.head + 1);
    if (to.port === 'k') count.kvHeads = Math.max(count.kvHeads, to.head + 1);
    counts.set(to.layer, count);
  }
  return counts;
}
