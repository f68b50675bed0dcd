import { expect, test } from 'vitest';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { CircuitGraphState } from './state.svelte.ts';

const start = (weight?: string) => new CircuitGraphState(() => inductionCircuit, weight);
const ids = (edges: readonly { readonly id: string }[]) => edges.map((edge) => edge.id);

test('at first every edge is shown and nothing is selected', () => {
  const state = start();
  expect(state.shown).toHaveLength(12);
  expect(state.target).toBeNull();
  expect(state.canUndo).toBe(false);
});

test('circuit only leaves the seven written edges', () => {
  const state = start();
  state.setCircuitOnly(true);
  expect(ids(state.shown)).toEqual(['e0', 'e1', 'e2', 'e3', 'e5', 'e7', 'e11']);
});

test('the threshold is a share of the largest weight of the chosen column', () => {
  const state = start();
  expect(state.largest).toBe(8.1777);
  state.setMinShare(0.64);
  expect(ids(state.shown)).toEqual(['e0', 'e1', 'e2', 'e3', 'e7']);
});

test('a negative weight passes the threshold by its size', () => {
  const state = start();
  state.setMinShare(0.1);
  expect(ids(state.shown)).toContain('e9');
  expect(state.values.get('e9')).toBe(-1);
});

test('an edge without the chosen weight passes only a threshold of 0', () => {
  const state = start('composition');
  expect(state.shown).toHaveLength(12);
  state.setMinShare(0.01);
  expect(ids(state.shown)).toEqual(['e7']);
});

test('undo and redo walk through selection and filters alike', () => {
  const state = start();
  state.select({ kind: 'node', id: 'n1' });
  state.setCircuitOnly(true);
  state.chooseWeight(state.choices[2]!.key);
  state.undo();
  expect(state.choice?.unit).toBe('logit_diff');
  expect(state.view.circuitOnly).toBe(true);
  state.undo();
  expect(state.view.circuitOnly).toBe(false);
  state.undo();
  expect(state.target).toBeNull();
  expect(state.canUndo).toBe(false);
  state.redo();
  state.redo();
  state.redo();
  expect(state.choice?.unit).toBe('accuracy');
  expect(state.target).toEqual({ kind: 'node', id: 'n1' });
  expect(state.canRedo).toBe(false);
});

test('a change after undo drops what was undone', () => {
  const state = start();
  state.select({ kind: 'node', id: 'n1' });
  state.undo();
  state.select({ kind: 'node', id: 'n2' });
  expect(state.canRedo).toBe(false);
});

test('one drag of the threshold is one step of undo', () => {
  const state = start();
  for (const share of [0.1, 0.2, 0.3]) state.setMinShare(share);
  state.settleThreshold();
  state.setMinShare(0.5);
  state.undo();
  expect(state.view.minShare).toBe(0.3);
  state.undo();
  expect(state.view.minShare).toBe(0);
});

test('selecting the selected again is no step', () => {
  const state = start();
  state.select({ kind: 'edge', id: 'e7' });
  state.select({ kind: 'edge', id: 'e7' });
  state.undo();
  expect(state.canUndo).toBe(false);
});

test('a target that a new record lacks is not selected', () => {
  const state = start();
  state.select({ kind: 'edge', id: 'gone' });
  expect(state.target).toBeNull();
});

test('the edges of a node come by membership, then by size, and are gone through in a ring', () => {
  const state = start();
  expect(ids(state.edgesOf('n2'))).toEqual(['e3', 'e7', 'e5', 'e11', 'e4', 'e6', 'e8']);
  state.cycleEdge('n2', 1);
  expect(state.target).toEqual({ kind: 'edge', id: 'e3' });
  state.cycleEdge('n2', -1);
  expect(state.target).toEqual({ kind: 'edge', id: 'e8' });
  state.cycleEdge('n2', 1);
  expect(state.target).toEqual({ kind: 'edge', id: 'e3' });
});

test('the search reads labels in either spelling of the arrow and any case', () => {
  const state = start();
  state.query = '0.0->1.0.k';
  expect(ids(state.matches)).toEqual(['e7']);
  state.query = 'LOGITS';
  expect(ids(state.matches)).toEqual(['e9', 'e10', 'e11']);
  state.cycleMatch(1);
  state.cycleMatch(1);
  expect(state.target).toEqual({ kind: 'edge', id: 'e10' });
  state.query = '  ';
  expect(state.matches).toEqual([]);
});

test('a head without a label takes that of the feature it is', () => {
  const nodes = inductionCircuit.nodes.map(({ label: _, ...node }) => node);
  const features = [{ kind: 'head', layer: 1, head: 0, label: 'induction' }] as const;
  const state = new CircuitGraphState(() => ({ ...inductionCircuit, nodes, features }));
  expect(state.nodeLabels.get('n2')).toBe('induction');
  expect(state.nodeLabels.has('n1')).toBe(false);
});
