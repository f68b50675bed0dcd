import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { CausalProgram, CausalValue } from './causal-program.ts';
import { drawPairs } from './draw-pairs.ts';

/** The sum of all tokens before, at each position; nothing at the first. `half` never reaches the output. */
const sums: CausalProgram = {
  variables: [
    { name: 'tokens', parents: [] },
    { name: 'half', parents: ['tokens'] },
    { name: 'sum', parents: ['tokens'] },
  ],
  output: 'sum',
  evaluate: (given, overrides = {}) => {
    const over = (name: string, column: readonly CausalValue[]) =>
      column.map((value, at) => {
        const other = overrides[name]?.[at];
        return other === undefined ? value : other;
      });
    const tokens = over('tokens', given);
    if (tokens.includes(9)) throw new CircuitscopeError('bad_program', 'No nines.');
    let total = 0;
    const before = tokens.map((value, at) => {
      const so = at === 0 ? null : total;
      total += Number(value);
      return so;
    });
    return {
      tokens,
      half: over(
        'half',
        tokens.map((value) => Number(value) / 2),
      ),
      sum: over('sum', before),
    };
  },
  tokenOf: (value) => (typeof value === 'number' ? value : null),
};
const prompts = [
  [1, 2, 3],
  [1, 2, 4],
  [2, 2, 3],
  [3, 1, 1, 2],
].map((tokens) => ({ tokens }));

describe('drawn pairs', () => {
  test('fill both strata to the stated share, and say in each what the program says after the exchange', () => {
    const { pairs, wanted } = drawPairs(sums, ['tokens'], prompts, { pairs: 20, changingShare: 0.6, seed: 1 });
    expect(wanted).toEqual({ changing: 12, unchanging: 8 });
    expect(pairs.filter(({ changes }) => changes)).toHaveLength(12);
    expect(pairs).toHaveLength(20);
    for (const { base, sources, positions, before, after, changes } of pairs) {
      const shared = Math.min(base.length, sources[0]?.length ?? 0);
      expect(positions).toEqual([Array.from({ length: shared }, (_, at) => at)]);
      const mixed = [...(sources[0] ?? []).slice(0, shared), ...base.slice(shared)];
      const column = sums.evaluate(mixed).sum ?? [];
      expect(after).toEqual(column.flatMap((value, at) => (at > 0 ? [{ at, token: value, number: null }] : [])));
      expect(changes).toBe(JSON.stringify(before) !== JSON.stringify(after));
    }
  });

  test('leave a stratum smaller that the prompts cannot fill', () => {
    const { pairs, wanted } = drawPairs(sums, ['half'], prompts, { pairs: 8, changingShare: 0.5, seed: 1 });
    expect([wanted.changing, pairs.length, pairs.some(({ changes }) => changes)]).toEqual([4, 4, false]);
  });

  test('exchange at one position where one is asked for', () => {
    const { pairs } = drawPairs(sums, ['tokens', 'sum'], prompts, { pairs: 12, positions: 'one', seed: 1 });
    const lengths = pairs.flatMap(({ positions }) => positions.map((one) => one.length));
    expect([...new Set(lengths)]).toEqual([1]);
    expect(new Set(pairs.map(({ positions }) => positions.join())).size).toBeGreaterThan(2);
    // At the first position the sum has no value in any prompt, so nothing is exchanged there.
    expect(pairs.some(({ positions }) => positions[1]?.includes(0))).toBe(false);
  });

  test('are only those in which the program can be run and says something', () => {
    const shift: CausalProgram = {
      ...sums,
      evaluate: (given, overrides = {}) => {
        if (overrides.tokens?.includes(4)) throw new CircuitscopeError('bad_program', 'No fours.');
        return sums.evaluate(given, overrides);
      },
    };
    const { pairs, unsaid } = drawPairs(shift, ['tokens'], prompts, { pairs: 12, seed: 1 });
    expect(unsaid).toBeGreaterThan(0);
    expect(pairs.some(({ sources }) => sources[0]?.includes(4))).toBe(false);
    const failing: CausalProgram = {
      ...sums,
      evaluate: (given, overrides) => {
        if (overrides) throw new TypeError('a bug');
        return sums.evaluate(given);
      },
    };
    expect(() => drawPairs(failing, ['tokens'], prompts, { seed: 1 })).toThrow(TypeError);
  });

  test('are equal for equal seeds, and need two prompts', () => {
    const draw = (seed: number) => JSON.stringify(drawPairs(sums, ['tokens'], prompts, { pairs: 8, seed }));
    expect(draw(1)).toBe(draw(1));
    expect(draw(1)).not.toBe(draw(2));
    expect(() => drawPairs(sums, ['tokens'], prompts.slice(0, 1), { seed: 1 })).toThrow(
      expect.objectContaining({ code: 'too_few_examples' }),
    );
  });
});
