import { Rng } from '../tensor/index.ts';

/** One who takes part: runs so many samples and gives their nanoseconds. */
export interface Player {
  readonly name: string;
  readonly block: (samples: number, warmUp: number) => Promise<readonly number[]>;
}

/** What the machine says between blocks. Both may be unknown. */
export interface Watch {
  readonly clockHz: () => Promise<number | undefined>;
  readonly stolenSeconds: () => number | undefined;
}

export interface InterleaveOptions {
  readonly rounds: number;
  /** So long a block should take. */
  readonly blockMs: number;
  readonly mostSamples: number;
  readonly seed: number;
  readonly clockDrift: number;
  readonly watch: Watch;
  readonly signal: AbortSignal;
  /** Between blocks, so that threads of others that still spin go to sleep. */
  readonly pauseMs: number;
  readonly onRound?: (done: number) => void;
}

/** Samples by round; a round in which somebody's block was disturbed even when repeated is empty for him. */
export interface Played {
  readonly rounds: readonly (readonly number[])[];
  readonly discarded: { readonly steal: number; readonly clock: number };
}

interface Mutable {
  readonly samples: number;
  readonly rounds: number[][];
  steal: number;
  clock: number;
}

const WARM_UP = 3;
const LEAST_WARM_UP_MS = 200;
/** A disturbed block is repeated so often before its round goes without. */
const ATTEMPTS = 3;

/**
 * A B C, B C A, …: in every round each player has one block, in an order of its own, so that what the machine does
 * meanwhile meets all of them alike. A block during which the hypervisor took time away, or between two readings of the
 * clock that differ, is discarded, counted and repeated.
 */
export async function interleave(
  players: readonly Player[],
  options: InterleaveOptions,
): Promise<ReadonlyMap<string, Played>> {
  const { rounds, seed, watch, signal, clockDrift } = options;
  const rng = new Rng(seed, 'bench.order');
  const state = new Map(
    await inTurn(players, async (player) => {
      const samples = await warm(player, options);
      const own: Mutable = { samples, rounds: [], steal: 0, clock: 0 };
      return [player.name, own] as const;
    }),
  );
  for (let round = 0; round < rounds; round++) {
    for (const player of shuffled(players, rng)) {
      const own = state.get(player.name);
      if (!own) continue;
      let kept: readonly number[] = [];
      for (let attempt = 0; attempt < ATTEMPTS && kept.length === 0; attempt++) {
        signal.throwIfAborted();
        if (options.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
        const [stolen, clock] = [watch.stolenSeconds(), await watch.clockHz()];
        const times = await player.block(own.samples, 1);
        const [after, later] = [await watch.clockHz(), watch.stolenSeconds()];
        if (stolen !== undefined && later !== undefined && later > stolen) own.steal += 1;
        else if (clock !== undefined && after !== undefined && Math.abs(after - clock) > clockDrift * clock)
          own.clock += 1;
        else kept = times;
      }
      own.rounds.push([...kept]);
    }
    options.onRound?.(round + 1);
  }
  return new Map(
    [...state].map(([name, { rounds: found, steal, clock }]) => [name, { rounds: found, discarded: { steal, clock } }]),
  );
}

/** At least three runs and 200 ms, then as many samples a block as its time allows. */
async function warm(player: Player, { blockMs, mostSamples, signal }: InterleaveOptions): Promise<number> {
  const times: number[] = [];
  let spentMs = 0;
  while (times.length < WARM_UP || (spentMs < LEAST_WARM_UP_MS && times.length < 1000)) {
    signal.throwIfAborted();
    const many = times.length === 0 ? 1 : Math.min(50, Math.max(1, Math.ceil(20e6 / Math.min(...times))));
    const found = await player.block(many, 0);
    times.push(...found);
    spentMs += found.reduce((a, b) => a + b, 0) / 1e6;
  }
  return Math.max(1, Math.min(mostSamples, Math.round((blockMs * 1e6) / Math.min(...times))));
}

function shuffled<T>(items: readonly T[], rng: Rng): readonly T[] {
  const order = [...items];
  for (let at = order.length - 1; at > 0; at--) {
    const other = rng.below(at + 1);
    [order[at], order[other]] = [order[other] as T, order[at] as T];
  }
  return order;
}

async function inTurn<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await act(item));
  return results;
}
