import { fireEvent, render, screen } from '@testing-library/svelte';
import { expect, test, vi } from 'vitest';
import { tokenText } from '../attention-pattern/token-text.ts';
import TokenStrip from './TokenStrip.svelte';
import { surprise, tokenSentence } from './token-words.ts';

const strip = {
  kind: 'token_strip' as const,
  tokens: [
    { id: 1, text: '<s>' },
    { id: 7, text: ' a\u0000b\u202e', logProb: -6, rank: 3 },
    { id: 9, text: '<img src=x onerror="globalThis.pwned=1">', logProb: Math.log(0.5), rank: 0 },
  ],
};

test('a chip says its id, probability and rank, under the keys too', async () => {
  const onselect = vi.fn();
  render(TokenStrip, { strip, onselect });
  const chips = screen.getAllByRole('button');
  chips[0]!.focus();
  await fireEvent.keyDown(chips[0]!, { key: 'ArrowRight' });
  expect(document.activeElement).toBe(chips[1]);
  expect(document.querySelector('.say')?.textContent).toMatch(
    /id 7 · log probability −6 \(0\.25 %\) · rank 3: 3 tokens/,
  );
  await fireEvent.click(chips[2]!);
  expect(onselect).toHaveBeenCalledWith(2);
  expect(chips[2]!.getAttribute('aria-pressed')).toBe('true');
});

test('signs that hide or turn what stands around them are written out, and nothing becomes markup', () => {
  const { container } = render(TokenStrip, { strip });
  expect(tokenText(' a\u0000b\u202e')).toBe('␣a␀b‹U+202E›');
  expect(container.textContent).toContain('␣a␀b‹U+202E›');
  expect(container.querySelector('img')).toBeNull();
  expect(container.textContent).toContain('<img src=x');
});

test('what a token stands for in the prompt is said where that is written otherwise', () => {
  expect(tokenSentence({ id: 5, text: 'Ã', source: 'é' }, 2)).toMatch(/^2 “Ã” · “é” in the prompt · id 5 · /);
  expect(tokenSentence({ id: 5, text: 'e', source: '\u202e' }, 2)).toContain('“‹U+202E›” in the prompt');
  expect(tokenSentence({ id: 5, text: 'e' }, 2)).toMatch(/^2 “e” · id 5 · /);
});

test('an unexpected token has the deeper shade', () => {
  expect(strip.tokens.map(surprise)).toEqual([0, 3, 0]);
});

test('an empty prompt is said to be empty', () => {
  render(TokenStrip, { strip: { kind: 'token_strip', tokens: [] } });
  expect(document.body.textContent).toContain('Nothing has been written yet.');
});
