import { expect, test } from 'vitest';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { edgeText, evidenceText, nodeText, unitText } from './text.ts';

const nodes = new Map(inductionCircuit.nodes.map((node) => [node.id, node]));

test('an edge is named by its units and port', () => {
  expect(edgeText(inductionCircuit.edges[7]!, nodes)).toBe('0.0→1.0.K');
  expect(edgeText(inductionCircuit.edges[11]!, nodes)).toBe('1.0→logits');
});

test('a node of a decomposition by position says its position', () => {
  const head = { id: 'x', unit: { kind: 'head', layer: 2, head: 3 } } as const;
  expect(nodeText({ ...head, position: { kind: 'index', index: 4 } })).toBe('2.3 @4');
  expect(nodeText({ ...head, position: { kind: 'named', name: 'S2' } })).toBe('2.3 @S2');
});

test('a latent is named without the hash of its dictionary', () => {
  expect(unitText({ kind: 'latent', dictionary: `sha256:${'c'.repeat(64)}`, index: 7 })).toBe('latent 7');
});

test('an intervention says before, after, the effect and what was predicted', () => {
  const evidence = inductionCircuit.edges[7]!.evidence![0]!;
  expect(evidenceText(evidence)).toBe('accuracy 1 → 0, effect 1, predicted 0, n = 64');
});

test('a test says its correction and its family', () => {
  const evidence = { kind: 'test', name: 'minimality', h0: 'no effect', statistic: 2, p: 0.003, n: 50 } as const;
  expect(evidenceText(evidence)).toBe('minimality: statistic 2, p = 0.003, n = 50, H0: no effect');
  expect(evidenceText({ ...evidence, correction: 'holm', family: { name: 'edges', size: 12 } })).toBe(
    'minimality: statistic 2, p = 0.003 (holm, 12 tests of edges), n = 50, H0: no effect',
  );
});
