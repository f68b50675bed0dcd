/** What two neighbours become, and how good that is. */
export interface Merge {
  readonly id: number;
  readonly score: number;
}

interface Candidate extends Merge {
  readonly at: number;
  readonly left: number;
  readonly right: number;
}

/** A symbol that is left, and which of the first ones, `from` to `to`, went into it. */
export interface Run {
  readonly id: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Byte-pair merging by score: while any neighbours can be merged, the pair with the highest score is, the leftmost among
 * equals. With a heap that takes n log n steps; the same loop over all pairs, as llama2.c has it, takes n².
 *
 * @param mergeOf what the ids of two neighbours become, if anything.
 */
export function mergePairs(
  ids: readonly number[],
  mergeOf: (left: number, right: number) => Merge | undefined,
): number[] {
  return mergeRuns(ids, mergeOf).map(({ id }) => id);
}

/** The same, and what each came from. */
export function mergeRuns(ids: readonly number[], mergeOf: (left: number, right: number) => Merge | undefined): Run[] {
  const symbols: number[] = [...ids]; // −1 where a symbol was merged into its left neighbour
  const next = symbols.map((_, i) => i + 1);
  const previous = symbols.map((_, i) => i - 1);
  const heap: Candidate[] = [];

  const offer = (at: number) => {
    const right = next[at];
    if (at < 0 || right === undefined || right >= symbols.length) return;
    const merge = mergeOf(symbols[at]!, symbols[right]!);
    if (merge) push(heap, { ...merge, at, left: symbols[at]!, right: symbols[right]! });
  };
  for (let at = 0; at < symbols.length; at++) offer(at);

  for (let best = pop(heap); best; best = pop(heap)) {
    const { at, left, right, id } = best;
    const neighbour = next[at]!;
    if (symbols[at] !== left || symbols[neighbour] !== right) continue; // one of the two has gone into another merge
    symbols[at] = id;
    symbols[neighbour] = -1;
    next[at] = next[neighbour]!;
    if (next[at]! < symbols.length) previous[next[at]!] = at;
    offer(previous[at]!);
    offer(at);
  }
  return symbols.flatMap((id, from) => (id >= 0 ? [{ id, from, to: next[from]! }] : []));
}

const before = (a: Candidate, b: Candidate) => a.score > b.score || (a.score === b.score && a.at < b.at);

function push(heap: Candidate[], item: Candidate): void {
  let i = heap.length;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(item, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = item;
}

function pop(heap: Candidate[]): Candidate | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (!last || heap.length === 0) return first;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
  return first;
}
