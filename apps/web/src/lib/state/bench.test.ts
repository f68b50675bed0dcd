import { describe, expect, it } from 'vitest';
import type { Effect, Target } from '../live/effect.ts';
import { Bench, type CutSet } from './bench.svelte.ts';

const edge = (id: string): Target => ({ kind: 'edge', id });
/** Every cut takes 1 away. */
const effect = ({ cuts }: CutSet): Effect => ({ metric: 'logit_diff', before: 5, after: 5 - cuts.length, n: 8 });

function benchOf(answer: (set: CutSet, signal: AbortSignal) => Promise<Effect>) {
  const asked: string[] = [];
  const bench = new Bench(
    (set, signal) => {
      asked.push(`${set.ablation} ${set.cuts.map(({ id }) => id).join(' ')}`);
      return answer(set, signal);
    },
    { cuts: [], ablation: 'zero' },
  );
  return { bench, asked };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe('a bench', () => {
  it('measures what is cut together and says how each cut moved the metric', async () => {
    const { bench, asked } = benchOf(async (set) => effect(set));
    bench.toggle(edge('a'));
    await settled();
    bench.toggle(edge('b'));
    await settled();
    expect(asked).toEqual(['zero a', 'zero a b']);
    expect(bench.result?.after).toBe(3);
    expect(bench.moves.map(({ before, after }) => [before, after])).toEqual([
      [5, 4],
      [4, 3],
    ]);
  });

  it('undoes and redoes without asking again', async () => {
    const { bench, asked } = benchOf(async (set) => effect(set));
    bench.toggle(edge('a'));
    await settled();
    bench.undo();
    await settled();
    expect([bench.cuts, bench.result, bench.canUndo]).toEqual([[], null, false]);
    bench.redo();
    await settled();
    expect(bench.result?.after).toBe(4);
    expect(asked).toEqual(['zero a']);
  });

  it('measures what led to a set when something in its middle is put back', async () => {
    const { bench, asked } = benchOf(async (set) => effect(set));
    for (const id of ['a', 'b', 'c']) {
      bench.toggle(edge(id));
      await settled();
    }
    bench.toggle(edge('a'));
    await settled();
    expect(asked.slice(3)).toEqual(['zero b c', 'zero b']);
    expect(bench.moves).toHaveLength(2);
  });

  it('drops a question that nobody waits for any more', async () => {
    const signals: AbortSignal[] = [];
    const { bench } = benchOf((set, signal) => {
      signals.push(signal);
      return new Promise((resolve) => setTimeout(() => resolve(effect(set)), 5));
    });
    bench.toggle(edge('a'));
    bench.setAblation('resample');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([bench.ablation, bench.result?.after, bench.isMeasuring]).toEqual(['resample', 4, false]);
  });

  it('shows the sentence of a failure only at the set that failed, and can ask again', async () => {
    let broken = true;
    const { bench } = benchOf(async (set) => {
      if (broken) throw new Error('The model is gone.');
      return effect(set);
    });
    bench.toggle(edge('a'));
    await settled();
    expect([bench.problem, bench.result, bench.isMeasuring]).toEqual(['The model is gone.', null, false]);
    broken = false;
    bench.undo();
    expect(bench.problem).toBeNull();
    bench.redo();
    await settled();
    expect(bench.result?.after).toBe(4);
  });

  it('puts a cut back when it is toggled again, and clears', async () => {
    const { bench } = benchOf(async (set) => effect(set));
    bench.toggle(edge('a'));
    bench.toggle(edge('a'));
    expect(bench.cuts).toEqual([]);
    bench.toggle(edge('a'));
    bench.toggle(edge('b'));
    bench.clear();
    expect(bench.cuts).toEqual([]);
    bench.undo();
    expect(bench.cuts).toHaveLength(2);
    await settled();
  });
});
