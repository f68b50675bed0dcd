import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test } from 'vitest';
import LogitLens from './LogitLens.svelte';
import { shadeOf } from './shade-of.ts';

const cell = (text: string, share: number, klToFinal: number, rank?: number) => ({
  top: [{ id: 3, text, logProb: Math.log(share) }],
  entropy: 1,
  klToFinal,
  ...(rank === undefined ? {} : { next: { logProb: -1, rank } }),
});
const lens = {
  kind: 'logit_lens' as const,
  streams: ['0_pre', 'final_post'],
  tokens: ['a', ' b'],
  cells: [cell('x', 0.25, 2, 9), cell('<b>y</b>', 0.5, 1), cell(' b', 0.75, 0, 0), cell('z', 1, 0)],
};

test('the cell under the keys is said with its top token and the rank of what follows', async () => {
  const { container } = render(LogitLens, { lens });
  const grid = screen.getByRole('application');
  await fireEvent.keyDown(grid, { key: 'ArrowUp' });
  const said = () => container.querySelector('.say')?.textContent?.trim();
  expect(said()).toBe('final_post at 1 “␣b”: “z” 100 %');
  await fireEvent.keyDown(grid, { key: 'Home' });
  await fireEvent.keyDown(grid, { key: 'ArrowUp' });
  expect(said()).toBe('0_pre at 0 “a”: “x” 25 %; “␣b”, which follows, has rank 9');
  expect(container.querySelector('dl')?.textContent).toMatch(/KL to the final\s*2 nats/);
  expect(container.querySelector('b')).toBeNull();
});

test('shades are the probability, the rank on a logarithmic scale, or the share of the largest divergence', () => {
  const [first] = lens.cells;
  expect(shadeOf(first!, 'top', 2)).toBeCloseTo(0.25, 12);
  expect(shadeOf(first!, 'next', 2)).toBeCloseTo(1 - 1 / 3, 12);
  expect(shadeOf(first!, 'kl', 4)).toBe(0.5);
  expect(shadeOf(lens.cells[1]!, 'next', 2)).toBe(0);
});
