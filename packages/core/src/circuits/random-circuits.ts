import { edgeLabel, type ReaderRef, type UnitRef } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import { type HeadCounts, headCounts } from './query-heads.ts';

// Two nulls for "this circuit, and not just any as large". Random edges answer whether size alone explains it; heads
// renamed within their layer keep the whole shape (ports, fan-in, paths) and ask whether these heads are special.

/** `count` sets of as many edges as the circuit, drawn uniformly without replacement. */
export function sizeMatched(all: readonly Edge[], size: number, count: number, seed: number): Edge[][] {
  const rng = new Rng(seed, 'circuits/size-matched');
  return Array.from({ length: count }, () => rng.shuffle(all).slice(0, size));
}

/** Up to `count` different circuits that are this one with its heads renamed within each layer, itself left out. */
export function relabelled(circuit: readonly Edge[], all: readonly Edge[], count: number, seed: number): Edge[][] {
  const rng = new Rng(seed, 'circuits/relabelled');
  const layers = headCounts(all);
  const known = new Set(all.map(edgeLabel));
  const seen = new Set([key(circuit)]);
  const found: Edge[][] = [];
  // Small models have few renamings; stop when new ones no longer come.
  for (let tries = 0; found.length < count && tries < 20 * count; tries++) {
    const names = new Map([...layers].map(([layer, counts]) => [layer, newNames(counts, rng)]));
    const renamed = circuit.map((edge) => rename(edge, names));
    const label = key(renamed);
    if (seen.has(label) || !renamed.every((edge) => known.has(edgeLabel(edge)))) continue;
    seen.add(label);
    found.push(renamed);
  }
  return found;
}

function key(circuit: readonly Edge[]): string {
  return circuit.map(edgeLabel).sort().join(' ');
}

interface Names {
  /** New name of each query head, and of each key/value head. */
  readonly query: readonly number[];
  readonly shared: readonly number[];
}

/** Heads that share keys and values stay together, so that every path of the circuit stays a path. */
function newNames({ heads, kvHeads }: HeadCounts, rng: Rng): Names {
  const group = heads / kvHeads;
  const shared = rng.shuffle(Array.from({ length: kvHeads }, (_, head) => head));
  const query = shared.flatMap((to) => rng.shuffle(Array.from({ length: group }, (_, index) => to * group + index)));
  return { query, shared };
}

function rename({ from, to }: Edge, names: ReadonlyMap<number, Names>): Edge {
  const unit = (ref: UnitRef): UnitRef =>
    ref.kind === 'head' ? { ...ref, head: names.get(ref.layer)?.query[ref.head] ?? ref.head } : ref;
  const reader = (ref: ReaderRef): ReaderRef => {
    if (ref.kind !== 'head') return ref;
    const own = names.get(ref.layer);
    return { ...ref, head: (ref.port === 'q' ? own?.query : own?.shared)?.[ref.head] ?? ref.head };
  };
  return { from: unit(from), to: reader(to) };
}
