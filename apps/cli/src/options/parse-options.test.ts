import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { nearest } from './nearest.ts';
import { argument, choice, flag, integer, list, real, required, text, withDefault } from './option.ts';
import { flagOf, parseOptions } from './parse-options.ts';

const options = {
  path: argument(required(text('PATH', 'a file'))),
  other: argument(text('OTHER', 'another file')),
  topK: integer('K', 'how many', { min: 1, max: 9 }),
  rate: withDefault(real('R', 'how much', { min: 0 }), 0.5),
  ablation: choice(['zero', 'mean'], 'by what'),
  sites: list('SITE,…', 'which'),
  json: flag('as JSON'),
};
const parse = (...words: string[]) => parseOptions(options, words, 'noun verb');
const messageOf = (...words: string[]): string => {
  try {
    parse(...words);
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.message;
    throw error;
  }
  return 'nothing was thrown';
};

describe('options', () => {
  test('what is left out has its default, or is undefined', () => {
    expect(parse('a')).toEqual({
      path: 'a',
      other: undefined,
      topK: undefined,
      rate: 0.5,
      ablation: undefined,
      sites: undefined,
      json: false,
    });
  });

  test('names are written with dashes, values behind a space or =, in any order around the arguments', () => {
    const expected = { path: 'a', other: 'b', topK: 3, rate: 1e-3, ablation: 'mean', sites: ['x', 'y'], json: true };
    expect(parse('--top-k', '3', 'a', '--rate=1e-3', 'b', '--ablation', 'mean', '--sites', 'x, y,', '--json')).toEqual(
      expected,
    );
    expect(flagOf('topK')).toBe('--top-k');
  });

  test('after -- everything is an argument', () => {
    expect(parse('--', '--json', '-x')).toMatchObject({ path: '--json', other: '-x', json: false });
  });

  test('an unknown option names the nearest one', () => {
    expect(messageOf('a', '--topk', '3')).toBe('--topk is no option of noun verb; did you mean --top-k?');
    expect(messageOf('a', '--jsno')).toBe('--jsno is no option of noun verb; did you mean --json?');
    expect(messageOf('a', '--entirely-different')).toBe(
      '--entirely-different is no option of noun verb; circuitscope noun verb --help lists its options.',
    );
    expect(messageOf('a', '-x')).toMatch(/^-x is no option/);
  });

  test('a missing value is told apart from a value that looks like an option', () => {
    expect(messageOf('a', '--top-k')).toBe('--top-k needs a value: --top-k K.');
    expect(messageOf('a', '--sites', '--json')).toBe(
      '--sites needs a value, and --json looks like an option; write --sites=--json if it is meant.',
    );
    expect(messageOf('a', '--rate', '-1')).toBe('--rate must be a number from 0, not "-1".');
    expect(parse('a', '--sites=--json').sites).toEqual(['--json']);
  });

  test('a switch with a value, an option given twice, a missing and a surplus argument are errors', () => {
    expect(messageOf('a', '--json=yes')).toBe('--json takes no value.');
    expect(messageOf('a', '--top-k', '1', '--top-k=2')).toBe('--top-k is given twice; keep one of the two.');
    expect(messageOf()).toBe('noun verb needs PATH (a file).');
    expect(messageOf('a', 'b', 'c')).toBe(
      'noun verb does not know what to do with "c"; circuitscope noun verb --help shows its arguments.',
    );
  });

  test('numbers and words are checked against what is allowed', () => {
    for (const bad of ['0', '10', '1.5', '1e1', '', ' ', '0x3', '99999999999999999999'])
      expect(messageOf('a', `--top-k=${bad}`)).toMatch(/^--top-k must be a whole number from 1 to 9/);
    for (const bad of ['', 'NaN', 'Infinity', 'x', '-0.1'])
      expect(messageOf('a', `--rate=${bad}`)).toMatch(/^--rate must be a number from 0, not/);
    expect(messageOf('a', '--ablation', 'Zero')).toBe('--ablation must be one of zero, mean, not "Zero".');
  });

  test('names of Object.prototype are unknown options like any other', () => {
    for (const name of ['--constructor', '--__proto__', '--toString'])
      expect(messageOf('a', name)).toMatch(/is no option of/);
  });
});

test('the nearest word counts a swap of neighbours once, and nothing is near to what is far', () => {
  expect(nearest('insepct', ['inspect', 'sites'])).toBe('inspect');
  expect(nearest('modl', ['model', 'workspace'])).toBe('model');
  expect(nearest('xyzzy', ['model', 'workspace'])).toBeNull();
  expect(nearest('a', [])).toBeNull();
});
