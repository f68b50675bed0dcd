import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import { attentionWords, groupBlocks } from './group-blocks.ts';
import ModelBlocks from './ModelBlocks.svelte';

const block = {
  attention: { heads: 4, kvHeads: 2, headWidth: 8 },
  mlp: { width: 64, activation: 'silu', gated: true },
  norms: 'pre' as const,
  residual: 'sequential' as const,
};
const model = {
  kind: 'model_blocks' as const,
  name: '<b>small</b>',
  width: 32,
  vocab: 1000,
  positions: 'rotary',
  norm: 'rms' as const,
  blocks: [block, block, { ...block, residual: 'parallel' as const }],
  tied: true,
};

test('blocks in a row that are alike are drawn once', () => {
  expect(groupBlocks(model.blocks).map(({ first, last }) => [first, last])).toEqual([
    [0, 1],
    [2, 2],
  ]);
});

test('shared keys and values are said and drawn', () => {
  expect(attentionWords(block.attention)).toBe('4 heads of 8, 2 to each of 2 keys and values');
  expect(attentionWords({ heads: 4, kvHeads: 1, headWidth: 8, window: 16 })).toBe(
    '4 heads of 8, all sharing one key and value, the last 16 keys',
  );
  const { container } = render(ModelBlocks, { model });
  expect([...container.querySelectorAll('.shared')].map((group) => group.querySelectorAll('i').length)).toEqual([
    2, 2, 2, 2,
  ]);
  expect(container.textContent).toContain('side by side');
  expect(container.querySelector('b')).toBeNull();
});

test('a part that is clicked is told with its blocks', async () => {
  const onselect = vi.fn();
  render(ModelBlocks, { model, onselect });
  await fireEvent.click(screen.getAllByRole('button', { name: /^MLP/ })[0]!);
  expect(onselect).toHaveBeenCalledWith({ part: 'mlp', first: 0, last: 1 });
});
