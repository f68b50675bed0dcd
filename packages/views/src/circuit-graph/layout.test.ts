import { expect, test } from 'vitest';
import { denseCircuit } from '../fixtures/dense-circuit.ts';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { layoutCircuit } from './layout.ts';

const WIDTHS = [320, 720, 1600];
const node = (layout: ReturnType<typeof layoutCircuit>, id: string) =>
  layout.nodes.find((placed) => placed.node.id === id)!;

test('input stands at the bottom, logits at the top, layers between in order', () => {
  const layout = layoutCircuit(inductionCircuit, 720);
  const ys = ['n0', 'n1', 'n2', 'n3'].map((id) => node(layout, id).y);
  expect(ys).toEqual([...ys].sort((a, b) => b - a));
  expect(new Set(ys).size).toBe(4);
  expect(layout.rows.map((row) => row.name)).toEqual(['input', 'layer 0', 'layer 1', 'output']);
});

test('the MLP of a layer stands above its heads and below the next layer', () => {
  const layout = layoutCircuit(denseCircuit(2, 2), 720);
  expect(['h0.0', 'm0', 'h1.0', 'm1', 'out'].map((id) => node(layout, id).row)).toEqual([1, 2, 3, 4, 5]);
});

test.each(WIDTHS)('no two nodes of a row overlap at %i pixels', (width) => {
  for (const circuit of [inductionCircuit, denseCircuit(4, 6), denseCircuit(6, 12)]) {
    const { nodes } = layoutCircuit(circuit, width);
    for (const a of nodes) {
      for (const b of nodes) {
        if (a === b || a.row !== b.row) continue;
        expect(Math.abs(a.x - b.x)).toBeGreaterThanOrEqual((a.width + b.width) / 2);
      }
    }
  }
});

test.each(WIDTHS)('every node lies inside the drawing at %i pixels', (width) => {
  const layout = layoutCircuit(denseCircuit(4, 6), width);
  for (const { x, y, width: w, height: h } of layout.nodes) {
    expect(x - w / 2).toBeGreaterThanOrEqual(0);
    expect(x + w / 2).toBeLessThanOrEqual(layout.width);
    expect(y - h / 2).toBeGreaterThanOrEqual(0);
    expect(y + h / 2).toBeLessThanOrEqual(layout.height);
  }
});

test('the induction circuit fits a phone', () => {
  expect(layoutCircuit(inductionCircuit, 320).width).toBe(320);
});

test('an edge ends at its port: Q left of K, K left of V', () => {
  const layout = layoutCircuit(inductionCircuit, 720);
  const ends = ['e3', 'e7', 'e5'].map((id) => layout.edges.find((placed) => placed.edge.id === id)!.points.at(-1)!.x);
  expect(ends).toEqual([...ends].sort((a, b) => a - b));
});

test('an edge that jumps a row passes beside the node that stands there', () => {
  const layout = layoutCircuit(inductionCircuit, 720);
  for (const { edge, points } of layout.edges) {
    for (const point of points.slice(1, -1)) {
      const inTheWay = layout.nodes.filter(
        (placed) => placed.y === point.y && Math.abs(placed.x - point.x) < placed.width / 2,
      );
      expect(inTheWay, edge.id).toEqual([]);
    }
  }
});

test('the same circuit and width give the same drawing', () => {
  expect(layoutCircuit(denseCircuit(4, 6), 900)).toEqual(layoutCircuit(denseCircuit(4, 6), 900));
});

test('a unit that names no layer stands just above its highest sender', () => {
  const latent = { id: 'f', unit: { kind: 'latent', dictionary: `sha256:${'c'.repeat(64)}`, index: 7 } } as const;
  const edge = { id: 'x', from: 'n1', to: 'f', inCircuit: true, weights: [] };
  const layout = layoutCircuit(
    { ...inductionCircuit, nodes: [...inductionCircuit.nodes, latent], edges: [...inductionCircuit.edges, edge] },
    720,
  );
  expect(node(layout, 'f').y).toBeLessThan(node(layout, 'n1').y);
  expect(node(layout, 'f').y).toBeGreaterThan(node(layout, 'n2').y);
});

test('a cycle among units of unknown depth still gets a drawing', () => {
  const latent = (id: string) => ({
    id,
    unit: { kind: 'latent' as const, dictionary: `sha256:${'c'.repeat(64)}` as const, index: 0 },
  });
  const edge = (id: string, from: string, to: string) => ({ id, from, to, inCircuit: true, weights: [] });
  const layout = layoutCircuit(
    { ...inductionCircuit, nodes: [latent('a'), latent('b')], edges: [edge('x', 'a', 'b'), edge('y', 'b', 'a')] },
    720,
  );
  expect(layout.nodes).toHaveLength(2);
});

test('an empty circuit gives an empty drawing', () => {
  const layout = layoutCircuit({ ...inductionCircuit, nodes: [], edges: [] }, 720);
  expect(layout.nodes).toEqual([]);
  expect(layout.width).toBe(720);
});
