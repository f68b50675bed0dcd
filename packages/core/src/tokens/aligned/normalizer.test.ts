import { describe, expect, test } from 'vitest';
import { Rng } from '../../tensor/index.ts';
import { AlignedText } from './aligned-text.ts';
import { normalizerOf } from './normalizer.ts';
import { inUnicodeForm, type UnicodeForm } from './unicode-form.ts';
import { withoutForms } from './young-characters.ts';

/** Ranges of each character, as `start-end`. */
function ranges(aligned: AlignedText): string {
  const found: string[] = [];
  let at = 0;
  for (const character of aligned.text) {
    found.push(aligned.range(at, at + character.length).join('-'));
    at += character.length;
  }
  return found.join(' ');
}

// What Python's tokenizers 0.23.3 give, a token a character (FixedLength of 1): text, normalized text, ranges in UTF-16 units.
const recorded: readonly (readonly [part: unknown, cases: readonly (readonly [string, string, string])[]])[] = [
  [
    { type: 'NFC' },
    [
      ['e\u0301x', '\u00e9x', '0-1 2-3'],
      ['\u1100\u1161\u11a8!', '\uac01!', '0-1 3-4'],
      ['a\u0323\u0302\u0301z', '\u1ead\u0301z', '0-1 3-4 4-5'],
      ['o\u0301\u031b\u0323', '\u1ee3\u0301', '0-1 3-4'],
    ],
  ],
  [
    { type: 'NFD' },
    [
      ['\u1e0b\u0323', 'd\u0323\u0307', '0-1 1-2 1-2'],
      ['\uac01\u00e9', '\u1100\u1161\u11a8e\u0301', '0-1 0-1 0-1 1-2 1-2'],
      ['\u{1f642}\u00e9', '\u{1f642}e\u0301', '0-2 2-3 2-3'],
    ],
  ],
  [
    { type: 'NFKC' },
    [
      ['\ufb01x\u00bd', 'fix1\u20442', '0-1 0-1 1-2 2-3 2-3 2-3'],
      ['\u2460a\u0301', '1\u00e1', '0-1 1-2'],
      ['\uff76\uff9e', '\u30ac', '0-1'],
      [
        '\ufdfa',
        '\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 \u0648\u0633\u0644\u0645',
        '0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1 0-1',
      ],
    ],
  ],
  [{ type: 'NFKD' }, [['\u2122\u00c5\ufb03', 'TMA\u030affi', '0-1 0-1 1-2 1-2 2-3 2-3 2-3']]],
  [
    { type: 'Lowercase' },
    [
      ['\u0130STANBUL', 'i\u0307stanbul', '0-1 0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8'],
      ['\u03a3\u039f\u03a6\u039f\u03a3', '\u03c3\u03bf\u03c6\u03bf\u03c3', '0-1 1-2 2-3 3-4 4-5'],
    ],
  ],
  [
    { type: 'Sequence', normalizers: [{ type: 'NFD' }, { type: 'StripAccents' }, { type: 'Lowercase' }] },
    [
      ['\u00c7\u00e9\u0301A', 'cea', '0-1 1-2 3-4'],
      ['\u0301a', 'a', '1-2'],
    ],
  ],
  [
    { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    [
      ['\u00c9\u0000\u4e2d\u200b\u{1f642}a\tb', 'e \u4e2d \u{1f642}a b', '0-1 2-3 2-3 2-3 4-6 6-7 7-8 8-9'],
      ['a\u0301\u4e2d\u56fdZ', 'a \u4e2d  \u56fd z', '0-1 2-3 2-3 2-3 3-4 3-4 3-4 4-5'],
    ],
  ],
  [{ type: 'Nmt' }, [['\u0001a\u200bb\n', 'a b ', '1-2 2-3 3-4 4-5']]],
  [
    { type: 'Strip', strip_left: true, strip_right: true },
    [
      ['  a b\u3000', 'a b', '2-3 3-4 4-5'],
      ['   ', '', ''],
    ],
  ],
  [{ type: 'Strip', strip_left: false, strip_right: true }, [[' ab \n', ' ab', '0-1 1-2 2-3']]],
  [
    { type: 'Prepend', prepend: '\u2581x' },
    [
      ['\u{1f642}a', '\u2581x\u{1f642}a', '0-2 0-2 0-2 2-3'],
      ['', '', ''],
    ],
  ],
  [{ type: 'Replace', pattern: { Regex: ' {2,}' }, content: '<>' }, [['a   b  ', 'a<>b<>', '0-1 3-4 3-4 4-5 6-7 6-7']]],
  [{ type: 'Replace', pattern: { String: '.' }, content: '' }, [['.a.b', 'ab', '1-2 3-4']]],
  [
    {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '\u2581' },
        { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
      ],
    },
    [['a b', '\u2581a\u2581b', '0-1 0-1 1-2 2-3']],
  ],
];

describe('normalizers', () => {
  test.each(recorded)('%j writes what the reference writes, each character with its place', (part, cases) => {
    const normalize = normalizerOf(part);
    for (const [given, text, places] of cases) {
      const aligned = normalize(AlignedText.of(given));
      expect([aligned.text, ranges(aligned)], JSON.stringify(given)).toEqual([text, places]);
    }
  });

  test('what is not known says its name', () => {
    expect(() => normalizerOf({ type: 'NFX' })).toThrow('the normalizer NFX');
    expect(() => normalizerOf({ type: 'toString' })).toThrow('the normalizer toString');
    expect(() => normalizerOf({ type: 'Prepend' })).toThrow('Prepend without prepend');
  });
});

describe('inUnicodeForm', () => {
  const alphabet = [
    ...'aeoAxé각ﬁ½Åớậǖ가각\u0300\u0301\u0302\u0307\u031b\u0323\u0327\u0334\u0345\u093c\u09be\u09c7\u0b57\u3099か🙂',
  ];
  const forms: readonly UnicodeForm[] = ['NFC', 'NFD', 'NFKC', 'NFKD'];

  test('500 random texts come out as String.normalize writes them, places in order', () => {
    const random = new Rng(5, 'unicode.forms');
    for (let round = 0; round < 500; round++) {
      const given = Array.from({ length: random.below(9) }, () => alphabet[random.below(alphabet.length)]).join('');
      for (const form of forms) {
        const { text, starts, ends } = inUnicodeForm(AlignedText.of(given), form);
        expect(text, `${form} ${JSON.stringify(given)}`).toBe(given.normalize(form));
        starts.forEach((start, at) => {
          expect(start).toBeGreaterThanOrEqual(starts[at - 1] ?? 0);
          expect(ends[at]).toBeGreaterThan(start);
          expect(ends[at]).toBeLessThanOrEqual(given.length);
        });
      }
    }
  });

  test('characters younger than the tables of the reference stay as they are, and part what surrounds them', () => {
    expect(withoutForms.test('\u{1e030}')).toBe(true);
    expect(inUnicodeForm(AlignedText.of('e\u0301\u{1e030}\u0301'), 'NFKC').text).toBe('é\u{1e030}\u0301');
    // U+1AC6 (Unicode 14) has a class, of which the reference does not know: no mark goes past it.
    expect(inUnicodeForm(AlignedText.of('a\u0301\u1ac6\u0323'), 'NFD').text).toBe('a\u0301\u1ac6\u0323');
  });
});
