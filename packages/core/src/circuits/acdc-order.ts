import type { UnitRef } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';

/**
 * In which order ACDC asks. Receivers always come from the logits down, a layer's MLP before its heads. `descending`: heads
 * of one layer from the last, V before K before Q, and into each receiver the latest sender first. `ascending`: the other
 * way round. A seed: receivers of one layer's heads, and senders, shuffled.
 */
export type AcdcOrder = 'descending' | 'ascending' | { readonly seed: number };

/** The turns of a search, whatever the order of the edges that are given. */
export function acdcOrder(edges: readonly Edge[], order: AcdcOrder): Edge[] {
  const receivers = new Map<string, Edge[]>();
  for (const edge of edges) {
    const key = JSON.stringify(placeOfReader(edge.to));
    receivers.set(key, [...(receivers.get(key) ?? []), edge]);
  }
  const up = order === 'descending' ? -1 : 1;
  const sorted = [...receivers.values()]
    .map((into) => into.sort((a, b) => up * comparePlaces(placeOf(a.from), placeOf(b.from))))
    .sort((a, b) => up * comparePlaces(placeOfReader(readerOf(a)), placeOfReader(readerOf(b))));
  const shuffled = typeof order === 'object' ? shuffle(sorted, order.seed) : sorted;
  // Sorting is stable: within one depth receivers keep the order that they have.
  return shuffled.sort((a, b) => comparePlaces([depthOf(readerOf(b))], [depthOf(readerOf(a))])).flat();
}

function shuffle(receivers: readonly Edge[][], seed: number): Edge[][] {
  const rng = new Rng(seed, 'circuits/acdc');
  return rng.shuffle(receivers).map((into) => rng.shuffle(into));
}

function readerOf(into: readonly Edge[]): Edge['to'] {
  return into[0]?.to ?? { kind: 'logits', port: 'in' };
}

/** Where a reader reads, from the input up: what is deeper may read what is not. */
export function depthOf(reader: Edge['to']): number {
  return reader.kind === 'logits' ? Number.POSITIVE_INFINITY : 2 * reader.layer + (reader.kind === 'mlp' ? 1 : 0);
}

function placeOfReader(reader: Edge['to']): number[] {
  if (reader.kind !== 'head') return [Number.isFinite(depthOf(reader)) ? depthOf(reader) : Number.MAX_VALUE];
  return [depthOf(reader), reader.head, ['q', 'k', 'v'].indexOf(reader.port)];
}

function placeOf(unit: UnitRef): number[] {
  switch (unit.kind) {
    case 'head':
      return [2 * unit.layer, unit.head];
    case 'mlp':
      return [2 * unit.layer + 1];
    default:
      return [-1];
  }
}

function comparePlaces(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at] ?? -1, b[at] ?? -1];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
