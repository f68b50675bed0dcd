import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { hasShared, shared, withoutShared } from '../checkpoints/shared-data.ts';
import { Rng } from '../tensor/index.ts';
import { openHuggingFaceTokenizer } from './hugging-face-tokenizer.ts';
import { openTokenizer } from './open-tokenizer.ts';
import { mayBacktrackForEver } from './regex-guard.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-tokenizer-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = join(root, 'tokenizer.json');

const whole = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<s>', special: true }],
  normalizer: null,
  pre_tokenizer: { type: 'Split', pattern: { Regex: 'a+|b' }, behavior: 'Isolated', invert: false },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    vocab: { '<s>': 0, a: 1, b: 2, ab: 3, aa: 4 },
    merges: [
      ['a', 'b'],
      ['a', 'a'],
    ],
    unk_token: null,
  },
};
const open = (json: unknown) => {
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json));
  return openHuggingFaceTokenizer(path);
};
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
    throw error;
  }
  return 'fine';
};

describe('openHuggingFaceTokenizer', () => {
  test('splits, merges and decodes by the file', () => {
    const tokenizer = open(whole);
    expect([tokenizer.kind, tokenizer.size]).toEqual(['huggingface', 5]);
    expect(tokenizer.encode('aab')).toEqual([4, 2]); // the split comes before the merge of a and b
    expect(tokenizer.decode([4, 2])).toBe('aab');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.token(3)).toBe('ab');
    expect(codeOf(() => tokenizer.decode([5]))).toBe('unknown_token');
    expect(codeOf(() => tokenizer.token(-1))).toBe('unknown_token');
    expect(codeOf(() => tokenizer.token(0.5))).toBe('unknown_token');
    expect(tokenizer.encode('cab')).toEqual([1, 2]); // no unknown token: c vanishes
    expect(codeOf(() => tokenizer.encode('a'.repeat(4_000_001)))).toBe('too_large');
  });

  test('files that are none, and ids that are no places, are refused', () => {
    const model = (more: object) => ({ ...whole, model: { ...whole.model, ...more } });
    for (const bad of [
      '',
      '[',
      'null',
      '[]',
      {},
      { ...whole, model: null },
      model({ vocab: 3 }),
      model({ vocab: { a: -1 } }),
      model({ vocab: { a: 1.5 } }),
      model({ vocab: { a: 2 ** 31 } }),
      model({ vocab: { a: 'b' } }),
      model({ vocab: [['a', 'b']] }),
      { ...whole, added_tokens: {} },
      { ...whole, added_tokens: [{ id: 1e308, content: 'x' }] },
      { ...whole, added_tokens: [{ id: 1 }] },
      '{"model":{"vocab":{"a":0,"a":1}}}',
      '{"normalizer":'.repeat(100_000),
    ]) {
      expect(
        codeOf(() => open(bad)),
        JSON.stringify(bad).slice(0, 60),
      ).toBe('bad_tokenizer');
    }
    expect(codeOf(() => open({ ...whole, normalizer: { type: 'NoSuch' } }))).toBe('unsupported_tokenizer');
    for (const type of ['Unknown', 'WordLevel', null, 3])
      expect(codeOf(() => open(model({ type })))).toBe('unsupported_tokenizer');
    expect(codeOf(() => open({ ...whole, pre_tokenizer: { ...whole.pre_tokenizer, pattern: {} } }))).toBe(
      'bad_tokenizer',
    );
    expect(codeOf(() => open({ ...whole, pre_tokenizer: { type: 'Split' } }))).toBe('bad_tokenizer');
  });

  test('a file with a part that is not known here gives ids by the library, and says why it has no places', () => {
    const tokenizer = open({ ...whole, pre_tokenizer: { type: 'Replace', pattern: { String: 'b' }, content: 'a' } });
    expect(tokenizer.encode('ab')).toEqual([4]);
    expect(() => tokenizer.offsets('ab')).toThrow(/does not say where its tokens lie \(the pre-tokenizer Replace\)/);
    expect(codeOf(() => tokenizer.offsets('ab'))).toBe('unsupported_tokenizer');
    expect(codeOf(() => open(whole).offsets('a'.repeat(4_000_001)))).toBe('too_large');
  });

  test('BOS that is asked for lies nowhere, as a template’s tokens do', () => {
    const tokenizer = open(whole);
    expect(tokenizer.encode('aab', { bos: 'always' })).toEqual([0, 4, 2]);
    expect(tokenizer.offsets('aab', { bos: 'always' })).toEqual([
      [0, 0],
      [0, 2],
      [2, 3],
    ]);
    expect(tokenizer.offsets('<s>a', { bos: 'always' })).toEqual([
      [0, 3],
      [3, 4],
    ]);
  });

  test('a text that its normalizer lets grow without end is an error of the file', () => {
    const double = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(4096) };
    const tokenizer = open({ ...whole, normalizer: { type: 'Sequence', normalizers: [double, double, double] } });
    expect(codeOf(() => tokenizer.encode('aaa'))).toBe('bad_tokenizer');
  });

  test('a pattern that could backtrack for ever is refused wherever it stands', () => {
    const bad = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
    expect(codeOf(() => open({ ...whole, pre_tokenizer: bad }))).toBe('bad_tokenizer');
    const nested = { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { Regex: '(x|x)*' }, content: '' }] };
    expect(codeOf(() => open({ ...whole, normalizer: nested }))).toBe('bad_tokenizer');
  });

  test('300 random mutations end in a tokenizer or in a typed error', () => {
    const random = new Rng(9, 'tokenizer.mutations');
    const text = JSON.stringify(whole);
    for (let round = 0; round < 300; round++) {
      const at = random.below(text.length);
      const snippet = ['null', '[', '"', '{}', '-1', '1e9', '', '0', 'x'][random.below(9)]!;
      const outcome = codeOf(() => open(text.slice(0, at) + snippet + text.slice(at + random.below(8))).encode('aab'));
      expect(['fine', 'bad_tokenizer', 'unsupported_tokenizer', 'unknown_token']).toContain(outcome);
    }
  });
});

describe('mayBacktrackForEver', () => {
  test('refuses repeated groups and knows escapes and classes', () => {
    for (const pattern of ['(a+)+', '(a|a)*', '(?:x)+', '(ab){2,}', '(a+){99}', '((a)b)*c']) {
      expect(mayBacktrackForEver(pattern), pattern).toBe(true);
    }
    for (const pattern of ['a+b*', '\\(a\\)+', '[()]+', '[\\])]+', '(?i:a|b)?x+', '(a){3}', '(a)|b+']) {
      expect(mayBacktrackForEver(pattern), pattern).toBe(false);
    }
  });
});

describe.skipIf(!hasShared)(`golden tokenizers${withoutShared}`, () => {
  const folder = join(shared, 'golden/tokenizers');
  interface Case {
    name: string;
    text: string;
    ids: number[];
    ids_without_special: number[];
    decoded: string;
    tokens: string[];
    offsets_utf16: [number, number][];
  }
  const casesOf = (name: string): Case[] => JSON.parse(readFileSync(join(folder, name, 'cases.json'), 'utf8')).cases;

  test.each(['bpe-gpt2', 'bpe-regex-digits', 'bpe-byte-fallback'])(
    '%s: ids, pieces and texts equal the recorded ones',
    (name) => {
      const tokenizer = openTokenizer(join(folder, name));
      const cases = casesOf(name);
      expect(cases.length).toBe(58);
      for (const { name: label, text, ids, ids_without_special, decoded, tokens } of cases) {
        expect(tokenizer.encode(text), label).toEqual(ids);
        expect(tokenizer.encode(text, { bos: 'never' }), label).toEqual(ids_without_special);
        expect(ids.map((id) => tokenizer.token(id)).slice(-tokens.length || ids.length), label).toEqual(tokens);
        // The library takes U+FEFF among byte-fallback tokens for a byte order mark and drops it.
        const known = name === 'bpe-byte-fallback' ? decoded.replaceAll('\ufeff', '') : decoded;
        expect(tokenizer.decode(ids), label).toBe(known);
      }
    },
  );

  test('WordPiece vocabularies give the recorded ids', () => {
    for (const name of ['wordpiece-cased', 'wordpiece-uncased']) {
      const tokenizer = openTokenizer(join(folder, name));
      for (const { name: label, text, ids } of casesOf(name))
        expect(tokenizer.encode(text), `${name} ${label}`).toEqual(ids);
    }
  });

  const kinds = [
    'bpe-gpt2',
    'bpe-regex-digits',
    'bpe-byte-fallback',
    'unigram-t5',
    'wordpiece-cased',
    'wordpiece-uncased',
  ];

  test.each(kinds)('%s: tokens lie where it was recorded, in UTF-16 units, those around a text nowhere', (name) => {
    const tokenizer = openTokenizer(join(folder, name));
    const cases = casesOf(name);
    expect(cases.length).toBe(58);
    for (const { name: label, text, ids, offsets_utf16 } of cases) {
      expect(tokenizer.offsets(text, { bos: 'never' }), label).toEqual(offsets_utf16);
      const [before, after] = name.startsWith('word')
        ? [1, 1]
        : [name === 'bpe-gpt2' || name === 'unigram-t5' ? 0 : 1, 0];
      const around = [...Array(before).fill([0, 0]), ...offsets_utf16, ...Array(after).fill([0, 0])];
      const expected = name === 'unigram-t5' ? [...around, [0, 0]] : around;
      expect(expected).toHaveLength(ids.length);
      expect(tokenizer.offsets(text), label).toEqual(expected);
    }
  });

  test('half characters are U+FFFD and have their place', () => {
    expect(openTokenizer(join(folder, 'bpe-gpt2')).offsets('a\ud800b')).toEqual([
      [0, 1],
      [1, 2],
      [1, 2],
      [1, 2],
      [2, 3],
    ]);
  });

  test('random texts: places ascend within the text, and what is not unknown spells what lies there', () => {
    const random = new Rng(12, 'offsets.properties');
    const alphabet = [...'abcdeghtnoiw THE.,!?\n\t0123½ﬁÅéß猫각🙂\u0301\u0323\u200d\u0000한ｶﾞ日'];
    for (const name of kinds) {
      const tokenizer = openTokenizer(join(folder, name));
      for (let round = 0; round < 100; round++) {
        const text = Array.from({ length: random.below(24) }, () => alphabet[random.below(alphabet.length)]).join('');
        const ids = tokenizer.encode(text, { bos: 'never' });
        const offsets = tokenizer.offsets(text, { bos: 'never' });
        expect(offsets).toHaveLength(ids.length);
        offsets.forEach(([start, end], at) => {
          expect(start).toBeGreaterThanOrEqual(offsets[at - 1]?.[0] ?? 0);
          expect(end).toBeGreaterThanOrEqual(Math.max(start, offsets[at - 1]?.[1] ?? 0));
          expect(end).toBeLessThanOrEqual(text.length);
          const token = tokenizer.token(ids[at]!);
          if (name === 'wordpiece-cased' && token !== '[UNK]')
            expect(token.replace('##', '')).toBe(text.slice(start, end));
          if (name === 'wordpiece-uncased' && token !== '[UNK]') {
            const base = text
              .slice(start, end)
              .normalize('NFD')
              .replaceAll(/\p{Mn}|\p{C}/gu, '')
              .toLowerCase();
            expect(base, JSON.stringify(text)).toBe(token.replace('##', ''));
          }
        });
        // Nothing of a text is lost where bytes can write it.
        if (name.startsWith('bpe-gpt2'))
          for (let unit = 0; unit < text.length; unit++)
            expect(offsets.some(([start, end]) => start <= unit && unit < end)).toBe(true);
      }
    }
  });

  test('Unigram with the normalizer Nmt gives the recorded ids and texts', () => {
    const tokenizer = openTokenizer(join(folder, 'unigram-t5'));
    const cases = casesOf('unigram-t5');
    expect(cases.length).toBe(58);
    for (const { name: label, text, ids, ids_without_special, decoded } of cases) {
      expect(tokenizer.encode(text), label).toEqual(ids);
      expect(tokenizer.encode(text, { bos: 'never' }), label).toEqual(ids_without_special);
      expect(tokenizer.decode(ids), label).toBe(decoded);
    }
    expect(codeOf(() => tokenizer.encode('a', { bos: 'always' }))).toBe('missing_bos');
  });

  test('the beginning of a text: as the file says, always, never', () => {
    const first = (name: string, bos: 'auto' | 'always' | 'never') =>
      openTokenizer(join(folder, name)).encode('the', { bos })[0];
    expect(['auto', 'always', 'never'].map((bos) => first('bpe-gpt2', bos as 'auto') === 0)).toEqual([
      false,
      true,
      false,
    ]);
    expect(['auto', 'always', 'never'].map((bos) => first('bpe-regex-digits', bos as 'auto') === 0)).toEqual([
      true,
      true,
      false,
    ]);
    expect(['auto', 'always', 'never'].map((bos) => first('wordpiece-cased', bos as 'auto') === 2)).toEqual([
      true,
      true,
      false,
    ]);
  });
});
