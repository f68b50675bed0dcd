import { CircuitscopeError } from '@circuitscope/schema';

// A run takes all cores, so two at once only slow each other down. They take turns; a page that has gone gives up its turn.
// Long work (a grid, a text that is written) has a line of its own: what somebody typed is never behind it.

/** Which line work waits in: `typed` takes a moment, `long` may take minutes. */
export type Lane = 'typed' | 'long';

/** More than this many waiting means that somebody asks faster than the machine answers. */
const MAX_WAITING = 32;
const last: { [L in Lane]: Promise<unknown> } = { typed: Promise.resolve(), long: Promise.resolve() };
let waiting = 0;

/** Runs `work` when all that came before it in its lane has ended, unless the signal has fired by then. */
export async function inTurn<T>(signal: AbortSignal, work: () => Promise<T>, lane: Lane = 'typed'): Promise<T> {
  if (waiting >= MAX_WAITING) {
    throw new CircuitscopeError('busy', 'Too many measurements wait for the model already; try again in a moment.');
  }
  waiting += 1;
  const turn = last[lane].then(() => {
    signal.throwIfAborted();
    return work();
  });
  last[lane] = turn.catch(() => undefined);
  try {
    return await turn;
  } finally {
    waiting -= 1;
  }
}
