import { expect, test } from 'vitest';
import fixture from '../fixtures/nested.json' with { type: 'json' };
import { type Circuit, parseCircuit } from './circuit.ts';
import type { CircuitEdge } from './circuit-edge.ts';

const crossing = (parts: Partial<CircuitEdge>): CircuitEdge => ({
  id: 'crossing',
  from: 'n1',
  to: 'out',
  inCircuit: true,
  weights: [],
  ...parts,
});

/** The circuit of the fixture with a boundary of one edge around the circuit inside it. */
function withBoundary(edge: CircuitEdge): unknown {
  const outer: Circuit = structuredClone(fixture) as Circuit;
  const folded = { id: 'before', nodes: [0, 1, 2, 3], edges: [], boundary: [{ place: 0, edge }] };
  return { ...outer, circuits: outer.circuits?.map((circuit) => ({ ...circuit, folded })) };
}

const issuesOf = (value: unknown) => {
  const parsed = parseCircuit(value);
  return parsed.ok ? [] : parsed.issues;
};
const at = 'circuits[0].folded.boundary[0].edge';

test('a boundary edge has one end inside and one outside', () => {
  expect(issuesOf(withBoundary(crossing({})))).toEqual([]);
  expect(issuesOf(withBoundary(crossing({ to: 'n2' })))[0]?.path).toBe(at);
  expect(issuesOf(withBoundary(crossing({ from: 'in' })))[0]?.path).toBe(at);
});

test('a boundary edge shares no id with an edge inside', () => {
  expect(issuesOf(withBoundary(crossing({ id: 'e0' })))).toEqual([
    { path: `${at}.id`, message: 'another edge has the id "e0"' },
  ]);
});

test('parts of a boundary edge are edges of nested circuits, not of the outermost one', () => {
  expect(issuesOf(withBoundary(crossing({ parts: [{ circuit: 'inner', edge: 'e0' }] })))).toEqual([]);
  expect(issuesOf(withBoundary(crossing({ parts: [{ circuit: 'inner', edge: 'gone' }] })))[0]?.path).toBe(
    `${at}.parts[0].edge`,
  );
  expect(issuesOf(withBoundary(crossing({ parts: [{ circuit: 'outer', edge: 'in' }] })))[0]?.path).toBe(
    `${at}.parts[0].circuit`,
  );
});

test('a macro edge may stand for edges of the boundary', () => {
  const value = withBoundary(crossing({})) as Circuit;
  const edges = value.edges.map((edge) =>
    edge.id === 'out' ? { ...edge, parts: [{ circuit: 'inner', edge: 'crossing' }] } : edge,
  );
  expect(issuesOf({ ...value, edges })).toEqual([]);
});
