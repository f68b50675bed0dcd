import { describe, expect, it } from 'vitest';
import { inTurn } from './busy.ts';

const open = () => new AbortController().signal;

describe('runs', () => {
  it('take turns, in the order in which they were asked for', async () => {
    const log: string[] = [];
    const work = (name: string) => async () => {
      log.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      log.push(`${name} ends`);
      return name;
    };
    expect(await Promise.all([inTurn(open(), work('a')), inTurn(open(), work('b'))])).toEqual(['a', 'b']);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('that somebody typed do not wait for a long one', async () => {
    const { promise, resolve: release } = Promise.withResolvers<string>();
    const long = inTurn(open(), () => promise, 'long');
    const behind = inTurn(open(), async () => 'behind', 'long');
    expect(await inTurn(open(), async () => 'typed')).toBe('typed');
    release('long');
    expect(await Promise.all([long, behind])).toEqual(['long', 'behind']);
  });

  it('give up their turn when nobody waits any more', async () => {
    const gone = new AbortController();
    const first = inTurn(open(), () => new Promise((resolve) => setTimeout(resolve, 5)));
    let ran = false;
    const second = inTurn(gone.signal, async () => {
      ran = true;
    });
    gone.abort();
    await expect(second).rejects.toThrow();
    await first;
    expect(ran).toBe(false);
  });

  it('go on after one that failed', async () => {
    await expect(inTurn(open(), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await inTurn(open(), async () => 1)).toBe(1);
  });

  it('are refused when too many wait', async () => {
    const { promise, resolve: release } = Promise.withResolvers<void>();
    const held = inTurn(open(), () => promise);
    const waiting = Array.from({ length: 40 }, () =>
      inTurn(open(), async () => undefined).then(
        () => 'ran',
        () => 'refused',
      ),
    );
    release();
    await held;
    const outcomes = await Promise.all(waiting);
    expect(outcomes.filter((outcome) => outcome === 'refused')).toHaveLength(9);
  });
});
