import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { type AcdcOrder, acdcOrder, depthOf } from './acdc-order.ts';
import { type Search, type SearchOptions, type SearchResult, type SearchStep, startSearch } from './edge-search.ts';
import type { TaskData } from './task-data.ts';

export interface AcdcOptions extends SearchOptions {
  /** `descending` by default. */
  readonly order?: AcdcOrder;
  /** How many edges may be asked about in one sweep, ahead of the answers; 32 by default. The result does not depend on it. */
  readonly ahead?: number;
}

/**
 * ACDC (Conmy et al. 2023): from the logits down, each edge is cut beside those already cut, and goes for good if that does
 * less harm than τ. Edges into a unit that nothing reads any more go without a run.
 *
 * Edges are asked about ahead: the next answers are guessed to be as the last one was, several edges are run in one sweep
 * on that guess, and what follows a wrong guess is thrown away and run again. A variant's bits do not depend on the sweep
 * that it is run in, so the result is that of asking one by one, to the bit.
 *
 * @throws CircuitscopeError `bad_threshold` for a threshold that is not a number
 */
export async function acdc(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { order = 'descending', ahead = 32, ...options }: AcdcOptions,
): Promise<SearchResult> {
  const search = await startSearch(engine, data, edges, options);
  const turns = acdcOrder(edges, order);
  const steps: SearchStep[] = [];
  let expected = true;
  let length = 1;
  while (steps.length < turns.length) {
    const guesses = lookAhead(turns, steps.length, search, expected, length);
    const asked = guesses.filter((guess) => guess.cut !== null);
    const harms = await search.harm(asked.map(({ cut }) => cut ?? []));
    let answer = 0;
    let right = true;
    for (const { edge, cut } of guesses) {
      if (!right) break;
      if (cut === null) {
        search.remove(edge);
        steps.push({ edge, delta: 0, removed: true, asked: false });
        continue;
      }
      const harm = harms[answer++] as number;
      const delta = harm - search.current();
      const removed = search.goes(delta);
      if (removed) search.remove(edge, harm);
      steps.push({ edge, delta, removed, asked: true });
      right = removed === expected;
      expected = removed;
    }
    length = right ? Math.min(2 * length, Math.max(1, ahead)) : 1;
    options.onProgress?.(steps.length / turns.length);
  }
  return search.result(steps);
}

interface Guess {
  readonly edge: Edge;
  /** What would be cut when the edge is asked about, itself included; null for one that goes without a run. */
  readonly cut: readonly Edge[] | null;
}

/** The next `length` edges to run if every answer is the expected one, and those between that go without a run. */
function lookAhead(turns: readonly Edge[], from: number, search: Search, expected: boolean, length: number): Guess[] {
  const guesses: Guess[] = [];
  const gone: Edge[] = [];
  let asked = 0;
  const first = turns[from];
  for (const edge of turns.slice(from)) {
    const free = !search.isRead(edge, gone);
    // Variants that change first in one place share all that comes before; those of another depth would not.
    if (!free && (asked === length || !first || depthOf(edge.to) !== depthOf(first.to))) break;
    if (free) {
      guesses.push({ edge, cut: null });
      gone.push(edge);
      continue;
    }
    asked++;
    guesses.push({ edge, cut: [...search.cut(), ...gone, edge] });
    if (expected) gone.push(edge);
  }
  return guesses;
}
