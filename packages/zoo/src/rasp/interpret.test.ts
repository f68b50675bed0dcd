import { describe, expect, test } from 'vitest';
import { interpret } from './interpret.ts';
import {
  detectPattern,
  fracPrevs,
  hist,
  length,
  pairBalance,
  reverse,
  shiftByOne,
  shuffleDyck2,
  sort,
  sortUnique,
} from './programs.ts';
import type { RaspProgram, RaspValue } from './rasp-program.ts';
import { causalProgram } from './run-program.ts';

const output = (program: RaspProgram, input: readonly RaspValue[]) => interpret(program, input).get(program.output);

describe('a program says', () => {
  test('the share of x so far: 1, 1/2, 2/3, 3/4, 3/5 for x w x x z', () => {
    expect(output(fracPrevs, [...'xwxxz'])).toEqual([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5]);
  });

  test('the token before, and nothing at the first', () => {
    expect(output(shiftByOne, [...'abca'])).toEqual([null, 'a', 'b', 'c']);
  });

  test('how often a token occurs, and how long the input is', () => {
    expect(output(hist, [...'abaca'])).toEqual([3, 1, 3, 1, 3]);
    expect(output(length, [...'abc'])).toEqual([3, 3, 3]);
  });

  test('numbers in order, equal ones too; without ties broken, a place that nothing is sorted to has no value', () => {
    expect(output(sort, [4, 1, 4, 2])).toEqual([1, 2, 4, 4]);
    expect(output(sortUnique, [4, 1, 3])).toEqual([1, 3, 4]);
    expect(output(sortUnique, [2, 2, 1])).toEqual([1, 2, null]);
  });

  test('the input backwards', () => {
    expect(output(reverse, [1, 2, 2, 3])).toEqual([3, 2, 2, 1]);
  });

  test('open minus closed brackets, each as a share of the tokens so far', () => {
    expect(output(pairBalance, [...'((x)'])).toEqual([1, 1, 2 / 3, 1 / 4]);
  });

  test('where abc ends, and nothing before the third token', () => {
    expect(output(detectPattern, [...'cabca'])).toEqual([null, null, false, true, false]);
  });

  test('which strings of two kinds of brackets are not balanced, by counting each kind alone', () => {
    const count = (input: string): boolean => {
      const depth = (open: string, close: string) => (until: number) =>
        [...input.slice(0, until)].reduce((sum, one) => sum + Number(one === open) - Number(one === close), 0);
      return [depth('(', ')'), depth('{', '}')].some(
        (at) => at(input.length) !== 0 || [...input].some((_, i) => at(i + 1) < 0),
      );
    };
    for (let size = 1; size <= 5; size++) {
      for (let code = 0; code < 4 ** size; code++) {
        const input = Array.from({ length: size }, (_, place) => '(){}'.charAt(Math.floor(code / 4 ** place) % 4));
        expect(new Set(output(shuffleDyck2, input))).toEqual(new Set([count(input.join(''))]));
      }
    }
  });
});

describe('the causal model of a program', () => {
  test('takes an override as the value of that variable at that position alone', () => {
    const causal = causalProgram(reverse);
    const values = causal.evaluate([0, 1, 2, 3]);
    expect(values).toMatchObject({ length: [null, 3, 3, 3], opposite: [null, 2, 1, 0], reversed: [null, 3, 2, 1] });
    const changed = causal.evaluate([0, 1, 2, 3], { opposite: [undefined, 0] });
    expect(changed).toMatchObject({ length: [null, 3, 3, 3], opposite: [null, 0, 1, 0], reversed: [null, 1, 2, 1] });
  });

  test('lists parents before children, and names the token of each output', () => {
    const { variables, tokenOf } = causalProgram(reverse);
    const seen = new Set<string>();
    for (const { name, parents } of variables) {
      for (const parent of parents) expect(seen).toContain(parent);
      seen.add(name);
    }
    expect(variables.find(({ name }) => name === 'reversed')?.parents).toEqual(['indices', 'opposite', 'tokens']);
    expect([1, 2, 3].map(tokenOf)).toEqual([1, 2, 3]);
    expect(tokenOf(null)).toBeNull();
  });

  test('refuses a token that no program reads, and a mean of things that are no numbers', () => {
    expect(() => causalProgram(hist).evaluate([0, 9])).toThrow(expect.objectContaining({ code: 'bad_prompt' }));
    const mean: RaspProgram = {
      ...shiftByOne,
      variables: [
        {
          kind: 'aggregate',
          name: 'shifted',
          selector: { keys: 'indices', queries: 'indices', predicate: { kind: 'at_most' } },
          of: 'tokens',
        },
      ],
    };
    expect(() => interpret(mean, ['a', 'b'])).toThrow(expect.objectContaining({ code: 'bad_program', at: 'shifted' }));
  });
});
