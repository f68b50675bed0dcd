import { expect, test } from 'vitest';
import { AlignedText } from './aligned-text.ts';
import { matchesOf, patternOf, splitAt } from './matches.ts';
import { preTokenizerOf } from './pre-tokenizer.ts';

const split = (part: unknown, text: string): string[] =>
  preTokenizerOf(part)(AlignedText.of(text)).map((word) => `${word.text} ${word.range(0, word.text.length).join('-')}`);

test('five ways to split at what was found', () => {
  const text = 'the-final--count-';
  const parts = (behaviour: Parameters<typeof splitAt>[1]) =>
    splitAt(matchesOf(text, /-/gu), behaviour).map(([start, end]) => text.slice(start, end));
  expect(parts('Removed')).toEqual(['the', 'final', 'count']);
  expect(parts('Isolated')).toEqual(['the', '-', 'final', '-', '-', 'count', '-']);
  expect(parts('MergedWithPrevious')).toEqual(['the-', 'final-', '-', 'count-']);
  expect(parts('MergedWithNext')).toEqual(['the', '-final', '-', '-count', '-']);
  expect(parts('Contiguous')).toEqual(['the', '-', 'final', '--', 'count', '-']);
});

test('an expression is Oniguruma’s: \\s knows U+0085 and not U+FEFF, (?i:…) is put into JavaScript’s', () => {
  expect(matchesOf('a\u0085b\ufeffc', patternOf({ Regex: '\\s' })).map(({ found }) => found)).toEqual([
    false,
    true,
    false,
  ]);
  expect(matchesOf("I'S", patternOf({ Regex: "(?i:'s)" })).at(-1)).toEqual({ start: 1, end: 3, found: true });
  expect(matchesOf('a.b', patternOf({ String: '.' })).length).toBe(3);
  // An empty find right behind another is none.
  expect(matchesOf('aab', patternOf({ Regex: 'a*' }))).toEqual([
    { start: 0, end: 2, found: true },
    { start: 2, end: 3, found: false },
    { start: 3, end: 3, found: true },
  ]);
  expect(() => patternOf({})).toThrow('neither text nor expression');
});

// As Python's tokenizers 0.23.3 split them.
test('pre-tokenizers split a text into words that keep their places', () => {
  expect(split({ type: 'BertPreTokenizer' }, 'Hi,\u00a0 ¿you?')).toEqual([
    'Hi 0-2',
    ', 2-3',
    '¿ 5-6',
    'you 6-9',
    '? 9-10',
  ]);
  expect(split({ type: 'Whitespace' }, 'a\u200db_c, d')).toEqual(['a\u200db_c 0-5', ', 5-6', 'd 7-8']);
  expect(split({ type: 'WhitespaceSplit' }, ' a, b')).toEqual(['a, 1-3', 'b 4-5']);
  expect(split({ type: 'Digits' }, 'a12½b')).toEqual(['a 0-1', '12½ 1-4', 'b 4-5']);
  expect(split({ type: 'Digits', individual_digits: true }, 'a12')).toEqual(['a 0-1', '1 1-2', '2 2-3']);
  expect(split({ type: 'Punctuation', behavior: 'Contiguous' }, 'a..b')).toEqual(['a 0-1', '.. 1-3', 'b 3-4']);
  expect(split({ type: 'FixedLength', length: 2 }, 'a🙂b')).toEqual(['a🙂 0-3', 'b 3-4']);
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
  expect(split(metaspace, 'a  b')).toEqual(['▁a 0-1', '▁ 1-2', '▁b 2-4']);
  expect(split({ ...metaspace, split: false }, ' a b')).toEqual(['▁a▁b 0-4']);
  expect(split({ ...metaspace, prepend_scheme: 'never', add_prefix_space: false }, 'a b')).toEqual(['a 0-1', '▁b 1-3']);
  expect(split({ type: 'ByteLevel', add_prefix_space: true }, 'é b')).toEqual(['ĠÃ© 0-1', 'Ġb 1-3']);
  const words = { type: 'Split', pattern: { Regex: '\\w+' }, behavior: 'Removed', invert: true };
  expect(split({ type: 'Sequence', pretokenizers: [words, { type: 'Digits' }] }, 'ab1 c')).toEqual([
    'ab 0-2',
    '1 2-3',
    'c 4-5',
  ]);
  for (const part of [
    { type: 'UnicodeScripts' },
    { type: 'FixedLength', length: 0 },
    { type: 'Metaspace' },
    { ...words, behavior: 'x' },
  ])
    expect(() => preTokenizerOf(part)).toThrow();
});

test('a space is put only before the first words of a text where the scheme says so', () => {
  const pre = preTokenizerOf({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'first' });
  const text = AlignedText.of('ab');
  expect(pre(text).map((word) => word.text)).toEqual(['▁ab']);
  expect(pre(text.slice(1, 2)).map((word) => word.text)).toEqual(['b']);
});
