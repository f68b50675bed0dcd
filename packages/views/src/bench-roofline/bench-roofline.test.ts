import { render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import BenchTable from '../bench-table/BenchTable.svelte';
import { benchRecord, benchResult } from '../fixtures/bench-record.ts';
import BenchRoofline from './BenchRoofline.svelte';

const HOSTILE = '<img src=x onerror="globalThis.pwned=1">';
const press = (target: Element, key: string) =>
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

test('the picture is walked by keys, and Enter chooses the operation that is pointed at', async () => {
  const onoperation = vi.fn();
  const { container } = render(BenchRoofline, { record: benchRecord, threads: 1, onoperation });
  const field = screen.getByRole('application');
  press(field, 'ArrowRight');
  await settled();
  expect(container.querySelector('.point')?.textContent).toContain('gemv-f32 by');
  for (let step = 0; step < 9; step++) press(field, 'ArrowRight');
  await settled();
  expect(container.querySelector('.point')?.textContent).toContain('sgemm-512 by gemm 1.2: 62.5 GFLOP/s');
  press(field, 'Enter');
  await settled();
  const labels = () => [...container.querySelectorAll('text.label')].map(({ textContent }) => textContent);
  expect(labels().sort()).toEqual(['circuitscope', 'gemm', 'packing', 'torch']);
  press(field, 'Escape');
  await settled();
  expect(labels()).toContain('sgemm-512');
  expect(onoperation.mock.calls).toEqual([['sgemm-512'], [null]]);
});

test('another number of threads is another picture', async () => {
  const onthreads = vi.fn();
  const { container } = render(BenchRoofline, { record: benchRecord, onthreads });
  const drawn = () => container.querySelectorAll('svg[role="group"] circle').length;
  expect(drawn()).toBe(1);
  screen.getByRole('button', { name: /^1\s+thread$/ }).click();
  await settled();
  expect(drawn()).toBe(7);
  expect(onthreads.mock.calls).toEqual([[1]]);
});

test('an operation that is given is followed, and the page decides about another', async () => {
  const onoperation = vi.fn();
  const given = { record: benchRecord, threads: 1, operation: null, onoperation };
  const { container, rerender } = render(BenchTable, given);
  screen.getByRole('button', { name: 'sgemm-512' }).click();
  await settled();
  expect(onoperation.mock.calls).toEqual([['sgemm-512']]);
  expect(container.querySelector('tbody.chosen')).toBeNull();
  await rerender({ ...given, operation: 'sgemm-512' });
  expect(container.querySelectorAll('tbody.chosen')).toHaveLength(1);
});

test('names are texts, in the picture and in the table', () => {
  const record = {
    machine: { ...benchRecord.machine, cpu: { model: HOSTILE, flags: [] } },
    results: [
      benchResult({ operation: HOSTILE, flops: 1e6, bytes: 1e5, by: HOSTILE }),
      benchResult({ operation: HOSTILE, flops: 1, bytes: 1, by: 'x', outcome: { kind: 'failed', reason: HOSTILE } }),
    ],
  };
  for (const view of [BenchRoofline, BenchTable]) {
    const { container } = render(view, { record });
    expect(container.querySelectorAll('img')).toHaveLength(0);
    expect(container.textContent).toContain(HOSTILE);
  }
});

test('a run without results draws its roofs, and its table says so', () => {
  const record = { ...benchRecord, results: [] };
  const { container } = render(BenchRoofline, { record });
  expect(container.querySelectorAll('line.roof.holds').length).toBeGreaterThan(1);
  render(BenchTable, { record });
  expect(screen.getByText('Nothing was measured.')).toBeTruthy();
});
