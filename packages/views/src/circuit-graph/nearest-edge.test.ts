import { expect, test } from 'vitest';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { pointOnEdge } from './edge-path.ts';
import { layoutCircuit } from './layout.ts';
import { edgeGrid } from './nearest-edge.ts';

const { edges } = layoutCircuit(inductionCircuit, 720);
const grid = edgeGrid(edges);
const all = () => true;

test('a point on a line finds that line', () => {
  for (const placed of edges) {
    // Halfway up its last piece no other line of this circuit is as near.
    const { x, y } = pointOnEdge(placed.points, 0.97);
    expect(grid.nearest(x, y, 10, (id) => id === placed.edge.id)).toBe(placed.edge.id);
    expect(grid.nearest(x, y, 10, all)).toBeDefined();
  }
});

test('a point farther than the radius finds nothing', () => {
  expect(grid.nearest(-200, -200, 10, all)).toBeUndefined();
});

test('a hidden edge is not found', () => {
  const { x, y } = pointOnEdge(edges[0]!.points, 0.5);
  expect(grid.nearest(x, y, 10, () => false)).toBeUndefined();
});
