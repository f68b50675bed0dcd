import { tick } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { benchRecord } from '../fixtures/bench-record.ts';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { inductionHeads, inductionTokens } from '../fixtures/induction-pattern.ts';
import './attention-pattern.ts';
import { readBenchRecord } from './bench-record.ts';
import { BenchRooflineElement } from './bench-roofline.ts';
import './bench-table.ts';
import { CircuitGraphElement } from './circuit-graph.ts';
import { readPatternRecord } from './pattern-record.ts';

afterEach(() => document.body.replaceChildren());

function place(tag: string, prepare: (element: HTMLElement) => void = () => {}): HTMLElement {
  const element = document.createElement(tag);
  prepare(element);
  document.body.append(element);
  return element;
}
const inside = (element: HTMLElement, selector: string) => element.shadowRoot?.querySelector(selector);

test('data comes as a property, and a new record redraws', async () => {
  const element = place('circuit-graph');
  if (!(element instanceof CircuitGraphElement)) throw new Error('not defined');
  element.circuit = inductionCircuit;
  await tick();
  expect(inside(element, 'h2')?.textContent).toBe(inductionCircuit.name);
  element.circuit = { ...inductionCircuit, name: 'Another' };
  await tick();
  expect(inside(element, 'h2')?.textContent).toBe('Another');
});

test('data comes as an attribute or as a child script', async () => {
  const byAttribute = place('circuit-graph', (element) =>
    element.setAttribute('data-circuit', JSON.stringify(inductionCircuit)),
  );
  const byChild = place('attention-pattern', (element) => {
    const script = document.createElement('script');
    script.type = 'application/json';
    script.textContent = JSON.stringify({ tokens: inductionTokens, heads: inductionHeads });
    element.append(script);
  });
  await tick();
  expect(byAttribute.shadowRoot?.querySelectorAll('g.node')).toHaveLength(4);
  expect(inside(byChild, '[role="application"]')).not.toBeNull();
});

test('what is no record is said in one sentence that names the place', () => {
  const element = place('circuit-graph');
  if (!(element instanceof CircuitGraphElement)) throw new Error('not defined');
  element.circuit = { ...inductionCircuit, nodes: [{ id: 'n0', unit: { kind: 'hed' } }] };
  expect(inside(element, '[role="alert"]')?.textContent).toMatch(/^This is not a circuit record, at nodes\[0\]/);
  element.circuit = inductionCircuit;
  expect(inside(element, '[role="alert"]')).toBeNull();
});

test('what is no JSON is said', () => {
  const element = place('circuit-graph', (made) => made.setAttribute('data-circuit', '{'));
  expect(inside(element, '[role="alert"]')?.textContent).toMatch(/^This is not JSON/);
});

test('events leave the shadow root', async () => {
  const element = place('circuit-graph', (made) => {
    made.setAttribute('data-circuit', JSON.stringify(inductionCircuit));
    made.setAttribute('ablatable', '');
  });
  const heard = vi.fn();
  for (const name of ['circuit-select', 'circuit-ablate', 'circuit-export']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      heard(name, event instanceof CustomEvent ? (event.detail.kind ?? null) : undefined);
    });
  }
  await tick();
  const node = inside(element, '[data-index="1"]');
  node?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, composed: true }));
  await tick();
  node?.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true, composed: true }));
  const buttons = [...(element.shadowRoot?.querySelectorAll('button') ?? [])];
  buttons.find((button) => button.textContent?.includes('Export'))?.click();
  expect(heard.mock.calls).toEqual([
    ['circuit-select', 'node'],
    ['circuit-ablate', 'node'],
    ['circuit-export', 'circuit_graph_export'],
  ]);
});

test('the theme of the page is carried into the shadow root', async () => {
  document.documentElement.setAttribute('data-theme', 'dark');
  const element = place('circuit-graph', (made) => made.setAttribute('data-circuit', JSON.stringify(inductionCircuit)));
  expect(inside(element, 'div')?.getAttribute('data-theme')).toBe('dark');
  document.documentElement.removeAttribute('data-theme');
});

test.each([
  [null, '"tokens"'],
  [{ tokens: [1], heads: [] }, 'texts only'],
  [{ tokens: ['a'], heads: [{ label: 'x', values: [[1], [1]] }] }, 'heads[0].values'],
  [{ tokens: ['a'], heads: [{ label: 1, values: [[1]] }] }, 'heads[0].label'],
  [{ tokens: Array.from({ length: 2000 }, () => 'a'), heads: [] }, '2000 tokens'],
])('an attention pattern that is none is refused (%#)', (value, part) => {
  const read = readPatternRecord(value);
  expect(read.ok ? '' : read.problem).toContain(part);
});

const benchDocument = {
  run: {
    kind: 'bench_run',
    version: 1,
    startedAt: '2026-01-31T12:00:00.000Z',
    tool: { version: '0.1.0' },
    machine: benchRecord.machine,
    before: {},
    seed: 0,
    rounds: 12,
    command: ['circuitscope', 'bench', 'kernels'],
  },
  results: benchRecord.results,
};

test('a benchmark comes as the command line prints it, into the picture and into the table', async () => {
  const roofline = place('bench-roofline', (element) =>
    element.setAttribute('data-bench', JSON.stringify(benchDocument)),
  );
  const table = place('bench-table', (element) => element.setAttribute('data-bench', JSON.stringify(benchDocument)));
  await tick();
  expect(inside(roofline, '.title p')?.textContent).toBe('A processor');
  expect(inside(table, 'tbody button')?.textContent?.trim()).toBe('sgemm-512');
  if (!(roofline instanceof BenchRooflineElement)) throw new Error('not defined');
  const heard = vi.fn();
  document.addEventListener('bench-operation', (event) => {
    if (event instanceof CustomEvent) heard(event.detail);
  });
  inside(table, 'tbody button')?.dispatchEvent(new MouseEvent('click', { bubbles: true, composed: true }));
  expect(heard.mock.calls).toEqual([['sgemm-512']]);
  roofline.threads = 1;
  roofline.operation = 'sgemm-512';
  await tick();
  const labels = [...(roofline.shadowRoot?.querySelectorAll('text.label') ?? [])].map(({ textContent }) => textContent);
  expect(labels.sort()).toEqual(['circuitscope', 'gemm', 'packing', 'torch']);
});

test.each([
  [null, '"run"'],
  [{ ...benchDocument, results: {} }, '"results" should be a list'],
  [{ ...benchDocument, results: [{ ...benchRecord.results[0], flops: -1 }] }, '"results[0]", at flops'],
  [{ ...benchDocument, run: { ...benchDocument.run, rounds: 'many' } }, '"run", at rounds'],
  [{ ...benchDocument, results: Array.from({ length: 5000 }, () => benchRecord.results[0]) }, '5000 results'],
])('a benchmark that is none is refused (%#)', (value, part) => {
  const read = readBenchRecord(value);
  expect(read.ok ? '' : read.problem).toContain(part);
});
