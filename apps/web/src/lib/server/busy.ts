import { CircuitscopeError } from '@circuitscope/schema';

// A run takes all cores, so two at once only slow each other down. They take turns; a page that has gone gives up its turn.

/** More than this many waiting means that somebody asks faster than the machine answers. */
const MAX_WAITING = 32;
let last: Promise<unknown> = Promise.resolve();
let waiting = 0;

/** Runs `work` when all that came before it has ended, unless the signal has fired by then. */
export async function inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  if (waiting >= MAX_WAITING) {
    throw new CircuitscopeError('busy', 'Too many measurements wait for the model already; try again in a moment.');
  }
  waiting += 1;
  const turn = last.then(() => {
    signal.throwIfAborted();
    return work();
  });
  last = turn.catch(() => undefined);
  try {
    return await turn;
  } finally {
    waiting -= 1;
  }
}
