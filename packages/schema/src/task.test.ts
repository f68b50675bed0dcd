import { expect, test } from 'vitest';
import { parseTask } from './task.ts';

const EXAMPLE = { clean: [0, 1, 2], corrupt: [0, 2, 1], answer: 2, wrongAnswer: 1 };
const TASK = { kind: 'task', version: 1, name: 'swap', examples: [EXAMPLE], metric: { kind: 'logit_diff' } };
const pathsOf = (task: object) => {
  const parsed = parseTask({ ...TASK, ...task });
  return parsed.ok ? [] : parsed.issues.map((issue) => issue.path);
};

test('a task of paired prompts is valid, with strings and named positions', () => {
  const named = { ...EXAMPLE, positions: { S1: 1, END: -1 }, labels: { template: 'ABBA' } };
  expect(
    pathsOf({
      examples: [named],
      tokenStrings: { 0: '<bos>', 1: ' a' },
      metric: { kind: 'accuracy', at: { kind: 'named', name: 'END' } },
    }),
  ).toEqual([]);
});

test('clean and corrupt pair up position by position', () => {
  expect(pathsOf({ examples: [EXAMPLE, { ...EXAMPLE, corrupt: [0] }] })).toEqual(['examples[1].corrupt']);
  expect(pathsOf({ examples: [{ ...EXAMPLE, clean: [], corrupt: [] }] })).toEqual(['examples[0].clean']);
});

test.each([3, -4, 0.5])('position %d is outside a prompt of three tokens', (at) => {
  expect(pathsOf({ examples: [{ ...EXAMPLE, positions: { S1: at } }] })).toEqual(['examples[0].positions.S1']);
});

test('a metric that reads at a name needs that name in every example', () => {
  const named = { ...EXAMPLE, positions: { END: 2 } };
  const metric = { kind: 'logit_diff', at: { kind: 'named', name: 'END' } };
  expect(pathsOf({ examples: [named, EXAMPLE], metric })).toEqual(['examples[1].positions']);
  const inherited = { kind: 'logit_diff', at: { kind: 'named', name: 'toString' } };
  expect(pathsOf({ examples: [named], metric: inherited })).toEqual(['examples[0].positions']);
});
