import { edgeLabel, parseEdgeLabel } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import { connected } from './discover.ts';
import { headCounts, queryHeads } from './query-heads.ts';
import { relabelled, sizeMatched } from './random-circuits.ts';
import { randomAttentionOnly, randomGroupedLlama } from './random-model.fixture.ts';

const labels = (edges: readonly Edge[]): string[] => edges.map(edgeLabel).sort();
const circuitOf = (...texts: string[]): Edge[] => texts.map(parseEdgeLabel);
const all = edgesOf(decompose(randomAttentionOnly(null).model.graph));
const grouped = edgesOf(decompose(randomGroupedLlama().model.graph));

test('size-matched circuits have as many different edges as the circuit, all of the model', () => {
  const known = new Set(labels(all));
  const circuits = sizeMatched(all, 9, 200, 3);
  expect(circuits).toHaveLength(200);
  for (const circuit of circuits) {
    expect(new Set(labels(circuit)).size).toBe(9);
    expect(labels(circuit).every((label) => known.has(label))).toBe(true);
  }
  // 29 edges choose 9 are ten million: two draws that agree would be a fault.
  expect(new Set(circuits.map((circuit) => labels(circuit).join())).size).toBe(200);
});

test('every edge is drawn about equally often', () => {
  const counts = new Map<string, number>();
  for (const circuit of sizeMatched(all, 9, 1000, 4))
    for (const label of labels(circuit)) counts.set(label, (counts.get(label) ?? 0) + 1);
  // Mean 1000 · 9/29 = 310, standard deviation 14.6.
  for (const label of labels(all)) expect(Math.abs((counts.get(label) ?? 0) - 310)).toBeLessThan(70);
});

test('random circuits are a function of the seed', () => {
  const circuit = circuitOf('input→0.0.V', '0.0→1.0.K', '1.0→logits');
  expect(sizeMatched(all, 5, 10, 1)).toEqual(sizeMatched(all, 5, 10, 1));
  expect(sizeMatched(all, 5, 10, 1)).not.toEqual(sizeMatched(all, 5, 10, 2));
  expect(relabelled(circuit, all, 10, 1)).toEqual(relabelled(circuit, all, 10, 1));
});

test('renamed circuits are all the others of that shape and no more: two layers of two heads leave three', () => {
  const circuit = circuitOf('input→0.0.V', '0.0→1.0.K', 'input→1.0.Q', '1.0→logits');
  const found = relabelled(circuit, all, 200, 1);
  expect(new Set(found.map((one) => labels(one).join()))).toEqual(
    new Set(
      [
        [0, 1],
        [1, 0],
        [1, 1],
      ].map(([a, b]) =>
        labels(circuitOf(`input→0.${a}.V`, `0.${a}→1.${b}.K`, `input→1.${b}.Q`, `1.${b}→logits`)).join(),
      ),
    ),
  );
});

test('renamed circuits keep ports, numbers of readers and writers, and paths, also where heads share keys', () => {
  const circuit = circuitOf('input→0.0.V', 'input→0.1.Q', '0.1→1.0.K', '0.1→mlp0', 'mlp0→1.1.Q', '1.1→logits');
  const counts = headCounts(grouped);
  expect(connected(circuit, counts)).toHaveLength(6);
  const known = new Set(labels(grouped));
  const found = relabelled(circuit, grouped, 100, 2);
  // Four names of query head 0.1 with its group, times four of 1.1, less the circuit itself.
  expect(found).toHaveLength(15);
  for (const one of found) {
    expect(labels(one).every((label) => known.has(label))).toBe(true);
    expect(connected(one, counts), labels(one).join(' ')).toHaveLength(6);
    expect(one.map(({ from, to }) => [from.kind, to.kind, to.port])).toEqual(
      circuit.map(({ from, to }) => [from.kind, to.kind, to.port]),
    );
    expect(labels(one)).not.toEqual(labels(circuit));
  }
});

test('a circuit that has no other name has no renamed ones', () => {
  expect(relabelled(circuitOf('input→logits'), all, 50, 1)).toEqual([]);
  expect(relabelled(all, all, 50, 1)).toEqual([]);
});

test('a shared key head is read by its group of query heads, a query by one', () => {
  const counts = { heads: 4, kvHeads: 2 };
  expect(queryHeads({ port: 'k', head: 1 }, counts)).toEqual([2, 3]);
  expect(queryHeads({ port: 'q', head: 1 }, counts)).toEqual([1]);
  expect(queryHeads({ port: 'v', head: 1 }, { heads: 2, kvHeads: 2 })).toEqual([1]);
  expect(headCounts(grouped)).toEqual(
    new Map([
      [0, counts],
      [1, counts],
    ]),
  );
});
