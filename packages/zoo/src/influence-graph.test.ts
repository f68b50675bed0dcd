import { expect, test } from 'vitest';
import { twelveNodes } from './influence-graph.ts';

test('the influence of each of the twelve nodes is the sum over its paths, followed one by one', () => {
  const { nodes, edges, logits, influence } = twelveNodes;
  const total = (target: number) =>
    edges.reduce((sum, edge) => sum + (edge.target === target ? Math.abs(edge.weight) : 0), 0);
  const found = new Array<number>(nodes).fill(0);
  const follow = (target: number, share: number): void => {
    for (const edge of edges) {
      if (edge.target !== target) continue;
      const part = (share * Math.abs(edge.weight)) / total(target);
      found[edge.source] = (found[edge.source] ?? 0) + part;
      follow(edge.source, part);
    }
  };
  for (const { node, probability } of logits) follow(node, probability);
  expect(influence).toHaveLength(nodes);
  found.forEach((value, node) => {
    expect(value).toBeCloseTo(influence[node] ?? Number.NaN, 14);
  });
});
