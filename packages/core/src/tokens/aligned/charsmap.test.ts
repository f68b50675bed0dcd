import { expect, test } from 'vitest';
import { AlignedText } from './aligned-text.ts';
import { charsmapOf } from './charsmap.fixture.ts';
import { openCharsmap } from './charsmap.ts';
import { normalizerOf } from './normalizer.ts';

const map = charsmapOf({ ﬁ: 'fi', 'e\u0301': 'é', '\u0001': '', '½': '1/2', '\u00a0': ' ', ab: 'x' });
const normalize = normalizerOf({ type: 'Precompiled', precompiled_charsmap: map });

function read(given: string): readonly [string, string] {
  const aligned = normalize(AlignedText.of(given));
  const places = Array.from(aligned.text, (_, at) => aligned.range(at, at + 1).join('-'));
  return [aligned.text, places.join(' ')];
}

test('characters and clusters are replaced, each new one with the place of the old', () => {
  expect(read('ﬁx½')).toEqual(['fix1/2', '0-1 0-1 1-2 2-3 2-3 2-3']);
  expect(read('e\u0301\u00a0z')).toEqual(['é z', '0-1 2-3 3-4']);
  // Two letters are two clusters: a replacement of both together is not looked for.
  expect(read('ab')).toEqual(['ab', '0-1 1-2']);
});

test('what is replaced by nothing goes, and what follows keeps its place, at the beginning of a text too', () => {
  expect(read('a\u0001b')).toEqual(['ab', '0-1 2-3']);
  // The reference forgets it here and says 0-1 1-2.
  expect(read('\u0001ab')).toEqual(['ab', '1-2 2-3']);
  expect(read('\u0001')).toEqual(['', '']);
});

test('a charsmap that is cut off, or no text, is not known', () => {
  expect(() => openCharsmap('!')).toThrow('base64');
  for (const bytes of [[], [4, 0], [4, 0, 0, 0], [255, 255, 255, 255, 0, 0, 0, 0], [3, 0, 0, 0, 1, 2, 3]])
    expect(() => openCharsmap(btoa(String.fromCharCode(...bytes)))).toThrow('cut off');
  expect(() => openCharsmap(btoa('\x04\0\0\0\0\0\0\0\xff'))).toThrow('no UTF-8');
});
