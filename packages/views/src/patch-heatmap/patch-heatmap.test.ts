import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import { patching } from '../fixtures/patching.ts';
import PatchHeatmap from './PatchHeatmap.svelte';
import { patchSlice, sliceChoices } from './patch-slice.ts';

const [resid, z] = patching.grids;

test('shares are of the whole difference, and 1 has the full colour unless a cell passes it', () => {
  const flat = patchSlice(patching, resid!, null);
  expect(flat.cell(0, 1)).toMatchObject({ value: 5, share: 1, at: { layer: 0, position: 1 } });
  expect(flat.cell(1, 1)?.share).toBe(-0.5);
  expect(flat.scale).toBe(1);
  expect(patchSlice(patching, z!, null).scale).toBe(2);
});

test('of three axes the strongest is shown, or the one that is chosen', () => {
  expect(sliceChoices(z!)).toEqual({ axis: 'head', count: 2 });
  expect(patchSlice(patching, z!, null).cell(0, 1)).toMatchObject({ value: -3, at: { head: 1 } });
  expect(patchSlice(patching, z!, 0).cell(0, 1)).toMatchObject({ value: 3, at: { head: 0 } });
  expect(patchSlice(patching, z!, null).cell(1, 1)?.value).toBe(9);
});

test('the cell under the keys is said with its change, and Enter tells the page', async () => {
  const onselect = vi.fn();
  const { container } = render(PatchHeatmap, { patching, onselect });
  const grid = screen.getByRole('application');
  await fireEvent.keyDown(grid, { key: 'ArrowDown' });
  expect(container.querySelector('.say')?.textContent?.trim()).toBe(
    'resid_pre, layer 1, position 1 “␣b”: 1 → −1 (−2), −50.0 % of the whole difference',
  );
  await fireEvent.keyDown(grid, { key: 'Enter' });
  expect(onselect).toHaveBeenCalledWith({ site: 'resid_pre', at: { layer: 1, position: 1 }, value: -1, share: -0.5 });
  expect(container.querySelector('u')).toBeNull();
  expect([...container.querySelectorAll('rect.plus, rect.minus')].map((cell) => cell.classList[0])).toEqual([
    'plus',
    'plus',
    'minus',
  ]);
});

test('equal prompts are said to have nothing to bring back', () => {
  render(PatchHeatmap, { patching: { ...patching, source: 1 } });
  expect(screen.getByRole('alert').textContent).toContain('the same logit difference');
});
