import { expect, test } from 'vitest';
import { denseCircuit } from '../fixtures/dense-circuit.ts';
import { layoutCircuit } from './layout.ts';
import { type FocusMove, moveFocus } from './move-focus.ts';

const { nodes } = layoutCircuit(denseCircuit(2, 3), 900);
const walk = (from: string, ...moves: readonly FocusMove[]) =>
  moves.reduce<string | undefined>((at, move) => moveFocus(nodes, at, move), from);
const row = (id: string | undefined) => nodes.find((placed) => placed.node.id === id)!;

test('up and down change the row by one', () => {
  expect(row(walk('in', 'up')).row).toBe(1);
  expect(row(walk('in', 'up', 'up', 'down')).row).toBe(1);
});

test('left and right walk through every node of a row and stop at its ends', () => {
  const left = walk(walk('in', 'up')!, 'left', 'left', 'left')!;
  expect(row(left).column).toBe(0);
  expect(row(walk(left, 'right', 'right')).column).toBe(2);
  expect(walk(left, 'right', 'right', 'right')).toBe(walk(left, 'right', 'right'));
});

test('at the ends of the drawing the focus stays', () => {
  expect(walk('in', 'down')).toBe('in');
  expect(walk('in', 'last')).toBe('out');
  expect(walk('out', 'up')).toBe('out');
  expect(walk('out', 'first')).toBe('in');
});
