import type { Circuit } from '@circuitscope/schema';
import { fireEvent, render, screen, within } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import { denseCircuit } from '../fixtures/dense-circuit.ts';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import CircuitGraph from './CircuitGraph.svelte';
import type { CircuitGraphExport } from './export-view.ts';

const HOSTILE = '<img src=x onerror="globalThis.pwned=1">';
const node = (name: RegExp) => screen.getByRole('button', { name });
const heading = () =>
  within(screen.getByRole('region', { name: 'Detail' })).queryByRole('heading', { level: 3 })?.textContent;

test('every node and every edge of the circuit is drawn', () => {
  const { container } = render(CircuitGraph, { circuit: inductionCircuit });
  expect(container.querySelectorAll('g.node')).toHaveLength(4);
  expect(container.querySelectorAll('g.strong path:not(.casing)')).toHaveLength(7);
  expect(container.querySelectorAll('g.faint path.negative')).toHaveLength(1);
});

test('one node is in the tab order; arrows move it along the drawing', async () => {
  render(CircuitGraph, { circuit: inductionCircuit });
  const tabbable = () =>
    screen
      .getAllByRole('button')
      .filter((each) => each.getAttribute('tabindex') === '0' && each.hasAttribute('data-index'));
  expect(tabbable()).toEqual([node(/^input,/)]);
  node(/^input,/).focus();
  await fireEvent.keyDown(node(/^input,/), { key: 'ArrowUp' });
  expect(document.activeElement).toBe(node(/^0\.0,/));
  await fireEvent.keyDown(node(/^0\.0,/), { key: 'End' });
  expect(document.activeElement).toBe(node(/^logits,/));
  expect(tabbable()).toEqual([node(/^logits,/)]);
});

test('Enter selects the node, E goes through its edges, Escape clears, Ctrl+Z brings back', async () => {
  const onselect = vi.fn();
  render(CircuitGraph, { circuit: inductionCircuit, onselect });
  const head = node(/^1\.0,/);
  await fireEvent.keyDown(head, { key: 'Enter' });
  expect(head.getAttribute('aria-pressed')).toBe('true');
  expect(heading()).toBe('1.0');
  await fireEvent.keyDown(head, { key: 'e' });
  await fireEvent.keyDown(head, { key: 'e' });
  expect(heading()).toBe('0.0→1.0.K');
  expect(screen.getByText(/^Edge 0\.0→1\.0\.K, patch effect/).textContent).toContain('5.33, in the circuit');
  await fireEvent.keyDown(head, { key: 'Escape' });
  expect(heading()).toBeUndefined();
  await fireEvent.keyDown(head, { key: 'z', ctrlKey: true });
  expect(heading()).toBe('0.0→1.0.K');
  await fireEvent.keyDown(head, { key: 'Z', ctrlKey: true, shiftKey: true });
  expect(heading()).toBeUndefined();
  expect(onselect.mock.calls.map(([target]) => target)).toEqual([
    { kind: 'node', id: 'n2' },
    { kind: 'edge', id: 'e3' },
    { kind: 'edge', id: 'e7' },
    null,
    { kind: 'edge', id: 'e7' },
    null,
  ]);
});

test('the detail of an edge holds all of its weights with interval, method and sign', () => {
  render(CircuitGraph, { circuit: inductionCircuit, selected: { kind: 'edge', id: 'e7' } });
  const rows = within(screen.getByRole('list', { name: 'Weights of this edge' })).getAllByRole('listitem');
  const texts = rows.map((row) => row.textContent?.replace(/\s+/g, ' ').trim());
  expect(texts).toHaveLength(7);
  expect(texts[0]).toContain('patch effect, zero ablation (logit_diff) 5.33 [5.33, 5.33] n = 64');
  expect(texts[3]).toContain('Clean minus cut: positive means that cutting the edge lowers the metric.');
  expect(texts[5]).toContain('composition 0.354');
  expect(texts[6]).toContain('minus baseline 0.196 baseline 0.158');
  expect(texts[6]).toContain('Unsigned');
  expect(screen.getByText('accuracy 1 → 0, effect 1, predicted 0, n = 64')).toBeDefined();
});

test('choosing another weight redraws: composition is unsigned and most edges have none', async () => {
  const { container } = render(CircuitGraph, { circuit: inductionCircuit });
  const select = screen.getByRole<HTMLSelectElement>('combobox', { name: 'Weight' });
  const raw = [...select.options].find((option) => option.text === 'composition')!;
  await fireEvent.change(select, { target: { value: raw.value } });
  expect(container.querySelectorAll('g.strong path.unsigned')).toHaveLength(1);
  expect(container.querySelectorAll('g.strong path.missing')).toHaveLength(6);
  expect(container.querySelectorAll('path.positive')).toHaveLength(0);
});

test('the threshold and the filter leave out edges and can be undone', async () => {
  const { container } = render(CircuitGraph, { circuit: inductionCircuit });
  const strong = () => container.querySelectorAll('g.strong path:not(.casing)').length;
  const slider = screen.getByRole('slider');
  await fireEvent.input(slider, { target: { value: '80' } });
  await fireEvent.change(slider);
  expect(strong()).toBe(5);
  await fireEvent.click(screen.getByRole('checkbox'));
  expect(container.querySelector('g.faint path')).toBeNull();
  await fireEvent.click(screen.getByRole('button', { name: 'Undo' }));
  await fireEvent.click(screen.getByRole('button', { name: 'Undo' }));
  expect(strong()).toBe(7);
});

test('the search counts, brings forward and selects', async () => {
  const { container } = render(CircuitGraph, { circuit: inductionCircuit });
  const search = screen.getByRole('searchbox');
  await fireEvent.input(search, { target: { value: '.k' } });
  expect(screen.getByText('3 edges')).toBeDefined();
  expect(container.querySelectorAll('g.raised path:not(.casing)')).toHaveLength(3);
  await fireEvent.keyDown(search, { key: 'Enter' });
  expect(heading()).toBe('input→0.0.K');
});

test('the table lists the shown edges, largest first', async () => {
  render(CircuitGraph, { circuit: inductionCircuit });
  const details = document.querySelector('details')!;
  expect(details.querySelector('table')).toBeNull();
  details.open = true;
  await fireEvent(details, new Event('toggle'));
  const rows = within(screen.getByRole('table')).getAllByRole('row').slice(1);
  expect(rows).toHaveLength(12);
  expect(rows[0]?.textContent).toContain('input→0.0.Q');
  await fireEvent.click(within(rows[2]!).getByRole('button'));
  expect(heading()).toBe(rows[2]!.querySelector('button')!.textContent);
});

test('ablation is asked of the page, and only where it listens', async () => {
  const onablate = vi.fn();
  const { rerender } = render(CircuitGraph, { circuit: inductionCircuit, selected: { kind: 'edge', id: 'e7' } });
  expect(screen.queryByRole('button', { name: /Ablate/ })).toBeNull();
  await rerender({ onablate });
  await fireEvent.click(screen.getByRole('button', { name: 'Ablate this edge' }));
  expect(onablate).toHaveBeenCalledWith({ kind: 'edge', id: 'e7' });
});

test('live effects stand at what was cut', () => {
  const effect = { ablation: 'zero', metric: 'accuracy', before: 1, after: 0 };
  const { container } = render(CircuitGraph, {
    circuit: inductionCircuit,
    selected: { kind: 'edge', id: 'e7' },
    effects: [
      { ...effect, target: { kind: 'edge', id: 'e7' } },
      { ...effect, target: { kind: 'node', id: 'n1' } },
    ],
  });
  expect(container.querySelectorAll('path.cut:not(.under)')).toHaveLength(1);
  expect(node(/^0\.0,/).getAttribute('aria-label')).toContain('accuracy 1 to 0 when ablated');
  expect(screen.getByText(/Measured now/).textContent?.replace(/\s+/g, ' ')).toBe(
    'Measured now: accuracy 1 → 0 under zero ablation',
  );
});

test('the export holds the shown edges, the chosen column and the provenance', async () => {
  const onexport = vi.fn<(data: CircuitGraphExport) => void>();
  render(CircuitGraph, { circuit: inductionCircuit, onexport, weightKind: 'composition' });
  await fireEvent.click(screen.getByRole('checkbox'));
  await fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  const data = onexport.mock.calls[0]![0];
  expect(data.weight).toMatchObject({ kind: 'composition', sign: 'unsigned_norm', minusBaseline: false });
  expect(data.edges.map((edge) => edge.value)).toEqual([null, null, null, null, null, 0.35355, null]);
  expect(JSON.parse(JSON.stringify(data))).toMatchObject({
    circuit: 'induction',
    provenance: { tool: 'circuitscope' },
  });
});

test('text of a record never becomes markup', async () => {
  const weight = { kind: 'virtual', value: 1, method: HOSTILE, sign: 'signed_weight', unit: HOSTILE } as const;
  const evidence = [{ kind: 'score', name: HOSTILE, value: 1 }] as const;
  const circuit: Circuit = {
    ...inductionCircuit,
    name: HOSTILE,
    description: HOSTILE,
    evidence,
    model: { ...inductionCircuit.model, name: HOSTILE },
    nodes: inductionCircuit.nodes.map((each) => ({
      ...each,
      label: HOSTILE,
      position: { kind: 'named', name: HOSTILE },
      values: { [HOSTILE]: 1 },
      evidence,
    })),
    edges: inductionCircuit.edges.map((edge) => ({ ...edge, weights: [weight], evidence })),
  };
  const { container, rerender } = render(CircuitGraph, { circuit });
  for (const selected of [null, { kind: 'node', id: 'n1' }, { kind: 'edge', id: 'e7' }] as const) {
    await rerender({ selected });
    expect(container.querySelector('img')).toBeNull();
    expect(container.textContent).toContain(HOSTILE);
  }
  expect(Reflect.get(globalThis, 'pwned')).toBeUndefined();
});

test('thousands of edges outside the circuit share a handful of elements', () => {
  const circuit = denseCircuit(8, 8);
  expect(circuit.edges.length).toBeGreaterThan(6000);
  const { container } = render(CircuitGraph, { circuit });
  const strong = circuit.edges.filter((edge) => edge.inCircuit).length;
  expect(container.querySelectorAll('path').length).toBeLessThan(2 * strong + 80);
});
