import { expect, test } from 'vitest';
import { inductionHeads, inductionTokens } from '../fixtures/induction-pattern.ts';
import { type CanvasLike, drawPattern } from './draw-pattern.ts';
import { isCausal, readPattern } from './pattern.ts';
import { AttentionPatternState } from './state.svelte.ts';
import { shortToken, tokenText } from './token-text.ts';

const size = inductionTokens.length;

test('rows of numbers and one flat array read alike', () => {
  const rows = readPattern(
    [
      [1, 0],
      [0.25, 0.75],
    ],
    2,
  );
  const flat = readPattern(new Float32Array([1, 0, 0.25, 0.75]), 2);
  for (const [query, key] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)
    expect(flat.at(query, key)).toBe(rows.at(query, key));
});

test('values that do not fit the tokens are said, not drawn askew', () => {
  expect(readPattern([[1]], 2).problem).toBe('The pattern has 1 queries; there are 2 tokens.');
  expect(readPattern([[1, 0], [1]], 2).problem).toBe('Query 1 of the pattern has 1 keys; there are 2 tokens.');
  expect(readPattern(new Float32Array(3), 2).problem).toBe('The pattern has 3 weights; 2 tokens need 4.');
  expect(
    readPattern(
      [
        [1, 0],
        [0, 1],
      ],
      2,
    ).problem,
  ).toBeUndefined();
});

test('outside the square, and where there is no number, the weight is 0', () => {
  const pattern = readPattern(
    [
      [Number.NaN, 0],
      [0, 1],
    ],
    2,
  );
  expect([pattern.at(0, 0), pattern.at(-1, 0), pattern.at(0, 2)]).toEqual([0, 0, 0]);
});

test('a pattern is causal when no query looks ahead', () => {
  expect(isCausal(readPattern(inductionHeads[0]!.values, size))).toBe(true);
  expect(
    isCausal(
      readPattern(
        [
          [0.5, 0.5],
          [0, 1],
        ],
        2,
      ),
    ),
  ).toBe(false);
});

test('the heat map fills each cell once with its weight as opacity and no seams', () => {
  const fills: number[][] = [];
  const canvas: CanvasLike = {
    fillStyle: '',
    globalAlpha: 1,
    clearRect: () => {},
    fillRect: (...box) => fills.push([...box, canvas.globalAlpha]),
  };
  drawPattern(
    canvas,
    readPattern(
      [
        [1, 0],
        [0.25, 0.75],
      ],
      2,
    ),
    5,
    'black',
  );
  expect(fills).toEqual([
    [0, 0, 3, 3, 1],
    [0, 3, 3, 2, 0.25],
    [3, 3, 2, 2, 0.75],
  ]);
});

test('white space in tokens is made visible', () => {
  expect([' the', '\n', '\t', '', 'a b', '  '].map(tokenText)).toEqual(['␣the', '⏎', '⇥', '∅', 'a b', '␣␣']);
  expect(shortToken('<img src=x onerror=alert(1)>', 6)).toBe('<img …');
});

test('keys enter at the strongest key of the last query and stay inside', () => {
  const state = new AttentionPatternState(
    () => inductionTokens,
    () => inductionHeads,
    1,
  );
  state.move(0, 1);
  expect(state.cell).toEqual({ query: 21, key: 8 });
  expect(state.weight).toBe(0.5);
  state.move(5, Number.POSITIVE_INFINITY);
  expect(state.cell).toEqual({ query: 21, key: 21 });
});

test('the running text shows what a query looks at, or who looks at a key', () => {
  const state = new AttentionPatternState(
    () => inductionTokens,
    () => inductionHeads,
    0,
  );
  state.pointToken(5);
  expect(state.cell).toEqual({ query: 5, key: 4 });
  expect(state.shades.map((shade, i) => (shade > 0 ? i : -1)).filter((i) => i >= 0)).toEqual([4]);
  state.reads = 'key';
  state.pointToken(5);
  expect(state.cell).toEqual({ query: 6, key: 5 });
  expect(state.shades.map((shade, i) => (shade > 0 ? i : -1)).filter((i) => i >= 0)).toEqual([6]);
});

test('a pin holds the cell when the pointer leaves', () => {
  const state = new AttentionPatternState(
    () => inductionTokens,
    () => inductionHeads,
  );
  state.point({ query: 3, key: 2 });
  state.togglePin({ query: 3, key: 2 });
  state.point(null);
  expect(state.cell).toEqual({ query: 3, key: 2 });
  state.togglePin({ query: 3, key: 2 });
  expect(state.cell).toBeNull();
});

test('a pin outside the tokens at hand is not shown', () => {
  const state = new AttentionPatternState(
    () => ['a'],
    () => [{ label: 'x', values: [[1]] }],
  );
  state.togglePin({ query: 20, key: 2 });
  expect(state.cell).toBeNull();
});
