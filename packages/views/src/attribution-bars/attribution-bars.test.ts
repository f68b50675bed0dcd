import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import AttributionBars from './AttributionBars.svelte';
import { barRows } from './bar-rows.ts';

const parts = [
  { label: 'embed', kind: 'embedding' as const, value: 0.5 },
  { label: 'L0H0', kind: 'head' as const, layer: 0, head: 0, value: -1 },
  { label: '0_mlp_out', kind: 'mlp' as const, layer: 0, value: 3 },
  { label: 'L1H0', kind: 'head' as const, layer: 1, head: 0, value: 2 },
];
const attribution = {
  kind: 'logit_attribution' as const,
  answer: { id: 1, text: '<i>yes</i>' },
  wrong: { id: 2, text: ' no' },
  parts,
  logit: 4.5,
  sum: 4.5,
};

test('bars go by size, by the stream or by whole layers, and always add up to the same', () => {
  expect(barRows(parts, 'largest').map(({ label }) => label)).toEqual(['0_mlp_out', 'L1H0', 'L0H0', 'embed']);
  expect(barRows(parts, 'layer')).toEqual([
    { label: 'embed', value: 0.5 },
    { label: 'layer 0', value: 2, layer: 0 },
    { label: 'layer 1', value: 2, layer: 1 },
  ]);
  for (const order of ['largest', 'stream', 'layer'] as const)
    expect(barRows(parts, order).reduce((sum, { value }) => sum + value, 0)).toBe(4.5);
});

test('the sum is held against the model’s own difference', async () => {
  const { rerender, container } = render(AttributionBars, { attribution });
  expect(screen.getByRole('status').textContent).toMatch(/4\.5, the model’s own\s+4\.5\s+✓ equal to rounding/);
  expect(container.querySelector('i')).toBeNull();
  await rerender({ attribution: { ...attribution, logit: 4 } });
  expect(screen.getByRole('status').textContent).toMatch(/✗ they differ by 0\.5/);
});

test('a bar tells which part was clicked', async () => {
  const onselect = vi.fn();
  render(AttributionBars, { attribution, onselect });
  await fireEvent.click(screen.getByRole('button', { name: /^L1H0/ }));
  expect(onselect).toHaveBeenCalledWith({ label: 'L1H0', value: 2, layer: 1, head: 0 });
});
