import { describe, expect, test } from 'vitest';
import { Rng } from '../tensor/index.ts';
import { type Attribution, type AttributionGraph, attributionGraph, influence } from './influence.ts';
import { type AttributionNode, graphScores, pruneAttribution } from './prune-attribution.ts';

const into = (to: number, ...sources: number[]): Attribution[] => sources.map((from) => ({ from, to, weight: 1 }));
/** Twelve nodes of equal weights; the logit is node 11. */
const twelve = attributionGraph(12, [...into(11, 1, 3, 6, 8), ...into(3, 0, 1, 6), ...into(1, 9, 10), ...into(0, 9)]);
const onLogit = Float64Array.from({ length: 12 }, (_, node) => (node === 11 ? 1 : 0));

/** Σ_k w Ā^k for k ≥ 1, with Ā dense. */
function powerSeries({ nodes, rowStart, column, weight }: AttributionGraph, targets: Float64Array): Float64Array {
  const dense = Array.from({ length: nodes }, () => new Float64Array(nodes));
  for (let t = 0; t < nodes; t++)
    for (let at = rowStart[t] ?? 0; at < (rowStart[t + 1] ?? 0); at++) {
      const row = dense[t] ?? new Float64Array();
      row[column[at] ?? 0] = (row[column[at] ?? 0] ?? 0) + Math.abs(weight[at] ?? 0);
    }
  for (const row of dense) {
    const sum = Math.max(
      1e-10,
      row.reduce((a, b) => a + b, 0),
    );
    row.forEach((value, at) => {
      row[at] = value / sum;
    });
  }
  const total = new Float64Array(nodes);
  let power = targets.slice();
  for (let step = 0; step < nodes; step++) {
    const next = new Float64Array(nodes);
    dense.forEach((row, t) => {
      row.forEach((value, s) => {
        next[s] = (next[s] ?? 0) + (power[t] ?? 0) * value;
      });
    });
    next.forEach((value, s) => {
      total[s] = (total[s] ?? 0) + value;
    });
    power = next;
  }
  return total;
}

/** Sources before targets in a random order of the nodes' numbers, so that a sweep by number would be wrong. */
function randomDag(nodes: number, density: number, seed: number): AttributionGraph {
  const rng = new Rng(seed, 'test/dag');
  const order = rng.shuffle(Array.from({ length: nodes }, (_, node) => node));
  const edges: Attribution[] = [];
  for (let t = 1; t < nodes; t++)
    for (let s = 0; s < t; s++)
      if (rng.float() < density) edges.push({ from: order[s] ?? 0, to: order[t] ?? 0, weight: rng.normal() });
  return attributionGraph(nodes, rng.shuffle(edges));
}

describe('influence', () => {
  test('of twelve nodes of equal weights is what paths by hand give', () => {
    const expected = [1 / 12, 1 / 3, 0, 1 / 4, 0, 0, 1 / 3, 0, 1 / 4, 1 / 4, 1 / 6, 0];
    influence(twelve, onLogit).nodes.forEach((value, node) => {
      expect(value, String(node)).toBeCloseTo(expected[node] ?? Number.NaN, 14);
    });
  });

  test('is the power series of the dense matrix, on random graphs of any order of nodes', () => {
    for (let seed = 0; seed < 60; seed++) {
      const nodes = 5 + (seed % 40);
      const graph = randomDag(nodes, [0.05, 0.3, 0.9][seed % 3] ?? 0.3, seed);
      const rng = new Rng(seed, 'test/targets');
      const targets = Float64Array.from({ length: nodes }, () => (rng.float() < 0.3 ? rng.float() : 0));
      const dense = powerSeries(graph, targets);
      influence(graph, targets).nodes.forEach((value, node) => {
        expect(Math.abs(value - (dense[node] ?? Number.NaN))).toBeLessThanOrEqual(
          1e-12 * Math.max(1, dense[node] ?? 0),
        );
      });
    }
  });

  test('through the edges out of a node adds up to its own', () => {
    const graph = randomDag(30, 0.3, 7);
    const targets = Float64Array.from({ length: 30 }, (_, node) => (node % 7 === 0 ? 0.2 : 0));
    const { nodes, edges } = influence(graph, targets);
    const sums = new Float64Array(30);
    graph.column.forEach((source, at) => {
      sums[source] = (sums[source] ?? 0) + (edges[at] ?? 0);
    });
    nodes.forEach((value, node) => {
      expect(sums[node]).toBeCloseTo(value, 13);
    });
  });

  test('does not change with the sign of a weight, nor with the scale of a row', () => {
    const graph = randomDag(20, 0.4, 3);
    const targets = Float64Array.from({ length: 20 }, () => 1);
    const flipped = { ...graph, weight: graph.weight.map((value, at) => (at % 2 === 0 ? -value : value)) };
    expect(influence(flipped, targets)).toEqual(influence(graph, targets));
    const doubled = { ...graph, weight: graph.weight.map((value) => 2 * value) };
    expect(influence(doubled, targets)).toEqual(influence(graph, targets));
  });

  test('of a graph with a cycle is refused', () => {
    const cyclic = attributionGraph(4, [...into(1, 0), ...into(2, 1), ...into(1, 2), ...into(3, 2)]);
    expect(() => influence(cyclic, [0, 0, 0, 1])).toThrow(expect.objectContaining({ code: 'cyclic_graph' }));
    const loop = attributionGraph(2, [...into(1, 1), ...into(1, 0)]);
    expect(() => influence(loop, [0, 1])).toThrow(expect.objectContaining({ code: 'cyclic_graph' }));
  });

  test('wants ends inside the graph, finite weights and a weight a node', () => {
    expect(() => attributionGraph(2, into(2, 0))).toThrow(expect.objectContaining({ code: 'bad_graph' }));
    expect(() => attributionGraph(2, [{ from: 0, to: 1, weight: Number.NaN }])).toThrow('of weight NaN');
    expect(() => influence(twelve, [1])).toThrow('12 nodes and 1 weights');
  });
});

describe('scores of an attribution graph', () => {
  // 0, 1 tokens; 2 error; 3 feature; 4 logit. 4 ← 3 (3), 2 (−1); 3 ← 0 (1), 1 (2), 2 (1).
  const graph = attributionGraph(5, [
    { from: 3, to: 4, weight: 3 },
    { from: 2, to: 4, weight: -1 },
    { from: 0, to: 3, weight: 1 },
    { from: 1, to: 3, weight: 2 },
    { from: 2, to: 3, weight: 1 },
  ]);
  const kinds: AttributionNode[] = ['token', 'token', 'error', 'feature', 'logit'];

  test('are the shares that paths by hand give', () => {
    const targets = [0, 0, 0, 0, 1];
    // i_3 = 3/4; i_0 = 3/16, i_1 = 6/16, i_2 = 1/4 + 3/16.
    const { replacement, completeness } = graphScores(graph, kinds, targets);
    expect(replacement).toBeCloseTo(9 / 16, 14);
    // Σ(i + w) = 1 + 3/4 + 1 = 11/4; errors take 1/4 of the logit and 1/4 of the feature's 3/4.
    expect(completeness).toBeCloseTo((11 / 4 - 1 / 4 - 3 / 16) / (11 / 4), 14);
  });

  test('are 1 without errors, and absent where nothing starts', () => {
    const clean = attributionGraph(3, [...into(1, 0), ...into(2, 1)]);
    expect(graphScores(clean, ['token', 'feature', 'logit'], [0, 0, 1])).toEqual({ replacement: 1, completeness: 1 });
    expect(graphScores(clean, ['token', 'feature', 'logit'], [0, 0, 0])).toEqual({
      replacement: null,
      completeness: null,
    });
  });
});

describe('pruning', () => {
  // Tokens 0, 1; features 2 (strong), 3 (weak), 4 (feeds only 3); error 5; logit 6.
  const edges: Attribution[] = [
    { from: 2, to: 6, weight: 8 },
    { from: 3, to: 6, weight: 1 },
    { from: 5, to: 6, weight: 1 },
    { from: 0, to: 2, weight: 99 },
    { from: 1, to: 2, weight: 1 },
    { from: 4, to: 3, weight: 1 },
    { from: 1, to: 4, weight: 1 },
  ];
  const graph = attributionGraph(7, edges);
  const kinds: AttributionNode[] = ['token', 'token', 'feature', 'feature', 'feature', 'error', 'logit'];
  const targets = [0, 0, 0, 0, 0, 0, 1];

  test('keeps the nodes with the share of influence, then the edges, and always tokens and logits', () => {
    // Influence: 2: 0.8, 0: 0.792, 1: 0.108, 3, 4, 5: 0.1; of 2 the first two are 0.796.
    const { nodes, edges: kept } = pruneAttribution(graph, kinds, targets, { nodeShare: 0.7, edgeShare: 0.99 });
    expect([...nodes]).toEqual([1, 1, 1, 0, 0, 0, 1]);
    const list = [...kept].flatMap((flag, at) => (flag ? [at] : []));
    // Among the rest 6 ← 2 and 2 ← 0 carry 1 and 0.99 of 2: token 1 stays without its edge.
    expect(list.map((at) => graph.column[at])).toEqual([0, 2]);
  });

  test('by a share of 1 keeps all that carries influence', () => {
    const { nodes, edges: kept } = pruneAttribution(graph, kinds, targets, { nodeShare: 1, edgeShare: 1 });
    expect([...nodes]).toEqual([1, 1, 1, 1, 1, 1, 1]);
    expect([...kept]).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  test('leaves no feature that nothing feeds or that leads nowhere', () => {
    for (let seed = 0; seed < 40; seed++) {
      const count = 40;
      const dag = randomDag(count, 0.15, seed);
      const rng = new Rng(seed, 'test/kinds');
      const random = Array.from({ length: count }, (): AttributionNode => {
        const draw = rng.below(10);
        return draw < 2 ? 'token' : draw < 3 ? 'logit' : draw < 5 ? 'error' : 'feature';
      });
      const w = Float64Array.from(random, (kind) => (kind === 'logit' ? 1 : 0));
      const { nodes, edges: kept } = pruneAttribution(dag, random, w, { nodeShare: 0.7, edgeShare: 0.9 });
      const feeds = new Set<number>();
      const reads = new Set<number>();
      for (let t = 0; t < count; t++)
        for (let at = dag.rowStart[t] ?? 0; at < (dag.rowStart[t + 1] ?? 0); at++) {
          if (kept[at] === 0) continue;
          const source = dag.column[at] ?? 0;
          expect(nodes[t]).toBe(1);
          expect(nodes[source]).toBe(1);
          feeds.add(source);
          reads.add(t);
        }
      random.forEach((kind, node) => {
        if (kind === 'token' || kind === 'logit') expect(nodes[node]).toBe(1);
        else if (nodes[node] === 1) {
          expect(feeds.has(node)).toBe(true);
          if (kind === 'feature') expect(reads.has(node)).toBe(true);
        }
      });
    }
  });

  test('with nothing asked for keeps tokens and logits alone', () => {
    const { nodes, edges: kept } = pruneAttribution(graph, kinds, [0, 0, 0, 0, 0, 0, 0]);
    expect([...nodes]).toEqual([1, 1, 0, 0, 0, 0, 1]);
    expect(kept.every((flag) => flag === 0)).toBe(true);
  });
});
