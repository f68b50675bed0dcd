import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import { inductionHeads, inductionTokens } from '../fixtures/induction-pattern.ts';
import AttentionPattern from './AttentionPattern.svelte';

const props = { tokens: inductionTokens, heads: inductionHeads };
const sentence = () => document.querySelector('.cell')?.textContent;

test('the cell under the keys is said in words', async () => {
  render(AttentionPattern, { ...props, selectedHead: 1 });
  const matrix = screen.getByRole('application');
  await fireEvent.keyDown(matrix, { key: 'ArrowDown' });
  expect(sentence()).toBe('Query 21 “2” → key 8 “3”: 0.5');
  await fireEvent.keyDown(matrix, { key: 'ArrowUp' });
  expect(sentence()).toBe('Query 20 “1” → key 8 “3”: 0');
  expect(document.getElementById(matrix.getAttribute('aria-describedby') ?? '')?.textContent).toBe(sentence());
});

test('Enter pins, Escape takes the pin off, and the page hears both', async () => {
  const onselect = vi.fn();
  render(AttentionPattern, { ...props, onselect });
  const matrix = screen.getByRole('application');
  await fireEvent.keyDown(matrix, { key: 'ArrowDown' });
  await fireEvent.keyDown(matrix, { key: 'Enter' });
  await fireEvent.keyDown(matrix, { key: 'Escape' });
  expect(onselect.mock.calls).toEqual([[{ query: 21, key: 20 }], [null]]);
  expect(sentence()).toMatch(/^Point at a cell/);
});

test('heads are radio buttons', async () => {
  const onhead = vi.fn();
  render(AttentionPattern, { ...props, onhead });
  const heads = screen.getAllByRole<HTMLInputElement>('radio', { name: /previous token|induction/ });
  expect(heads.map((head) => head.checked)).toEqual([true, false]);
  await fireEvent.click(heads[1]!);
  expect(heads.map((head) => head.checked)).toEqual([false, true]);
  expect(onhead).toHaveBeenCalledWith(1);
});

test('the chosen head follows the page', async () => {
  const { rerender } = render(AttentionPattern, { ...props, selectedHead: 0 });
  await rerender({ selectedHead: 1 });
  expect(screen.getByRole('application').closest('svg')?.getAttribute('aria-label')).toBe(
    'Attention of head 1.0 induction',
  );
});

test('pointing at a token shades what it looks at', async () => {
  const { container } = render(AttentionPattern, { ...props, selectedHead: 1 });
  const tokens = container.querySelectorAll('.token');
  await fireEvent.pointerEnter(tokens[8]!);
  expect([...tokens].map((token, i) => (token.classList.contains('shade-10') ? i : -1)).filter((i) => i >= 0)).toEqual([
    2,
  ]);
});

test('values that do not fit are said instead of drawn', () => {
  render(AttentionPattern, { tokens: ['a', 'b'], heads: [{ label: 'x', values: [[1]] }] });
  expect(screen.getByRole('alert').textContent).toBe('The pattern has 1 queries; there are 2 tokens.');
});

test('tokens and labels never become markup', () => {
  const hostile = '<img src=x onerror="globalThis.pwned=1">';
  const { container } = render(AttentionPattern, {
    tokens: [hostile, '</text><script>globalThis.pwned=1</script>'],
    heads: [
      {
        label: hostile,
        values: [
          [1, 0],
          [0.5, 0.5],
        ],
      },
      {
        label: '1',
        values: [
          [1, 0],
          [0.5, 0.5],
        ],
      },
    ],
    title: hostile,
  });
  expect(container.querySelector('img, script')).toBeNull();
  expect(container.textContent).toContain(hostile);
  expect(Reflect.get(globalThis, 'pwned')).toBeUndefined();
});
