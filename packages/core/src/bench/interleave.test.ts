import { describe, expect, test } from 'vitest';
import { interleave, type Player } from './interleave.ts';

const signal = new AbortController().signal;
const quiet = { clockHz: async () => 1e9, stolenSeconds: () => 0 };
const options = { rounds: 20, blockMs: 1, mostSamples: 8, seed: 3, clockDrift: 0.03, watch: quiet, signal, pauseMs: 0 };

/** Always takes as long as it says, and writes down when it was asked. */
function player(name: string, ns: number, asked: string[] = []): Player {
  return {
    name,
    async block(samples, warmUp) {
      if (warmUp > 0) asked.push(name);
      return new Array<number>(samples).fill(ns);
    },
  };
}

describe('taking turns', () => {
  test('each has one block in every round, in an order that changes and follows from the seed', async () => {
    const orders = await Promise.all(
      [3, 3, 4].map(async (seed) => {
        const asked: string[] = [];
        await interleave(
          ['a', 'b', 'c'].map((name) => player(name, 1e8, asked)),
          { ...options, seed },
        );
        return asked;
      }),
    );
    const [first = [], again, other] = orders;
    const rounds = Array.from({ length: 20 }, (_, round) => first.slice(3 * round, 3 * round + 3));
    for (const round of rounds) expect([...round].sort()).toEqual(['a', 'b', 'c']);
    expect(new Set(rounds.map((round) => round.join(''))).size).toBeGreaterThan(3);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  test('a block holds as many samples as its time allows, at least one', async () => {
    const played = await interleave([player('slow', 5e8), player('fast', 250_000), player('least', 10)], options);
    expect(played.get('slow')?.rounds[0]).toHaveLength(1);
    expect(played.get('fast')?.rounds[0]).toHaveLength(4);
    expect(played.get('least')?.rounds[0]).toHaveLength(8);
  });

  test('disturbed blocks are counted by their cause, repeated, and never among the samples', async () => {
    let steals = 0;
    const stolen = await interleave([player('a', 1e8)], {
      ...options,
      rounds: 2,
      watch: { ...quiet, stolenSeconds: () => Math.min(3, steals++) },
    });
    expect(stolen.get('a')?.discarded).toEqual({ steal: 2, clock: 0 });
    expect(stolen.get('a')?.rounds.map((samples) => samples.length)).toEqual([1, 1]);
    let clock = 1e9;
    const slowed = await interleave([player('a', 1e8)], {
      ...options,
      rounds: 1,
      watch: { ...quiet, clockHz: async () => (clock *= 0.9) },
    });
    expect(slowed.get('a')).toEqual({ rounds: [[]], discarded: { steal: 0, clock: 3 } });
  });

  test('stops between blocks when it is told to', async () => {
    const controller = new AbortController();
    const stopping: Player = {
      name: 'a',
      block: async () => {
        controller.abort(new Error('enough'));
        return [1e9];
      },
    };
    await expect(interleave([stopping], { ...options, signal: controller.signal })).rejects.toThrow('enough');
  });
});
