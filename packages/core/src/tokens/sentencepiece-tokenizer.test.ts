import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { ggufFile, type Meta, meta } from '../checkpoints/gguf-file.fixture.ts';
import { hasShared, shared, withoutShared } from '../checkpoints/shared-data.ts';
import { Rng } from '../tensor/index.ts';
import { openTokenizer } from './open-tokenizer.ts';
import { sentencePieceTokenizer } from './sentencepiece-tokenizer.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-pieces-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const hex = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
const bytes = Array.from({ length: 256 }, (_, byte) => hex(byte));

/** A file of nothing but a vocabulary. */
function stored(
  name: string,
  pieces: readonly string[],
  scores: readonly number[],
  rest: readonly Meta[] = [],
): string {
  const kinds = pieces.map((piece) =>
    piece === '<unk>' ? 2 : /^<\/?s>$/.test(piece) ? 3 : /^<0x..>$/.test(piece) ? 6 : 1,
  );
  const key = (name: string): string => `tokenizer.ggml.${name}`;
  const metadata = [
    meta.text('general.architecture', 'llama'),
    meta.text(key('model'), 'llama'),
    meta.texts(key('tokens'), pieces),
    meta.f32s(key('scores'), scores),
    meta.i32s(key('token_type'), kinds),
    ...rest,
  ];
  const path = join(root, name);
  writeFileSync(path, ggufFile(metadata, []));
  return path;
}

const small = ['<unk>', '<s>', '</s>', ...bytes, '▁', 'a', 'b', 'c', 'ab', 'bc', '▁a', 'é', 'abc'];
const first = 3 + 256;
const scores = small.map((piece) => ({ ab: -2, bc: -1, '▁a': -3, abc: -9 })[piece] ?? 0);
const id = (piece: string): number => small.indexOf(piece);

describe('a vocabulary of pieces', () => {
  test('merges by score, the leftmost of equal ones, and falls back to bytes', () => {
    const tokenizer = openTokenizer(stored('small.gguf', small, scores));
    expect([tokenizer.kind, tokenizer.size, tokenizer.bosId]).toEqual(['sentencepiece', small.length, 1]);
    // bc before ab, then ▁a: the bc is gone by then.
    expect(tokenizer.encode('abc')).toEqual([1, id('▁a'), id('bc')]);
    expect(tokenizer.encode('ab', { bos: 'never' })).toEqual([first, id('ab')]);
    expect(tokenizer.encode('€', { bos: 'never' })).toEqual([first, 3 + 0xe2, 3 + 0x82, 3 + 0xac]);
    expect(tokenizer.encode('', { bos: 'never' })).toEqual([]);
    expect(tokenizer.encode('a</s>a', { bos: 'never' })).toEqual([id('▁a'), 2, id('▁a')]);
    expect(tokenizer.offsets('a€</s> b', { bos: 'never' })).toEqual([
      [0, 1],
      [1, 2],
      [1, 2],
      [1, 2],
      [2, 6],
      [6, 7],
      [6, 7],
      [7, 8],
    ]);
    expect(tokenizer.decode(tokenizer.encode('a €b'))).toBe('a €b');
  });

  test('adds what the file says', () => {
    const key = 'tokenizer.ggml.';
    const rest = [
      meta.flag(`${key}add_bos_token`, false),
      meta.flag(`${key}add_eos_token`, true),
      meta.flag(`${key}add_space_prefix`, false),
    ];
    const tokenizer = openTokenizer(stored('bare.gguf', small, scores, rest));
    expect(tokenizer.encode('ab')).toEqual([id('ab'), 2]);
    expect(tokenizer.encode(' ab', { bos: 'always' })).toEqual([1, id('▁'), id('ab'), 2]);
    expect(tokenizer.offsets('ab')).toEqual([[0, 2], [0, 0]]); // biome-ignore format: a row
    expect(tokenizer.offsets(' ab', { bos: 'always' })).toEqual([[0, 0], [0, 1], [1, 3], [0, 0]]); // biome-ignore format: a row
    expect(tokenizer.decode([id('▁a'), id('b')])).toBe(' ab');
  });

  test('what does not fit is refused, with its place', () => {
    const code = (run: () => unknown): string => {
      try {
        run();
      } catch (error) {
        if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
        throw error;
      }
      return 'fine';
    };
    expect(code(() => openTokenizer(stored('few.gguf', small, scores.slice(1))))).toMatch(
      /bad_tokenizer.*few.gguf.*scores/,
    );
    const far = [meta.u32('tokenizer.ggml.bos_token_id', small.length)];
    expect(code(() => openTokenizer(stored('far.gguf', small, scores, far)))).toMatch(/bad_tokenizer.*bos_token_id/);
    const vocabulary = { scores: [0], bosId: null, eosId: null, adds: { bos: false, eos: false }, spacePrefix: false };
    const wrong = { ...vocabulary, pieces: ['<0xZZ>'], kinds: ['byte'] as const };
    expect(code(() => sentencePieceTokenizer(wrong, 'here'))).toMatch(/bad_tokenizer: here: token 0/);
    const poor = sentencePieceTokenizer({ ...vocabulary, pieces: ['a'], kinds: ['normal'] }, 'here');
    expect(code(() => poor.encode('b'))).toMatch(/unknown_token/);
    expect(code(() => poor.encode('a', { bos: 'always' }))).toMatch(/missing_bos/);
  });

  test('any text decodes to itself, and its offsets lie in it in order', () => {
    const tokenizer = openTokenizer(join(root, 'small.gguf'));
    const rng = new Rng(7, 'pieces');
    const letters = ['a', 'b', 'c', ' ', '▁x', 'é', '€', '😀', '\n', '<s', '0x41>'];
    for (let run = 0; run < 300; run++) {
      const text = Array.from({ length: rng.below(9) }, () => letters[rng.below(letters.length)]).join('');
      const ids = tokenizer.encode(text, { bos: 'never' });
      // The sign for spaces cannot be told from a space.
      expect(tokenizer.decode(ids)).toBe(text.replaceAll('▁', ' '));
      const offsets = tokenizer.offsets(text, { bos: 'never' });
      expect(offsets).toHaveLength(ids.length);
      offsets.forEach(([start, end], at) => {
        expect(start).toBeLessThan(end);
        expect(start).toBeGreaterThanOrEqual(offsets[at - 1]?.[0] ?? 0);
        expect(end).toBeLessThanOrEqual(text.length);
      });
    }
  });
});

interface Golden {
  readonly cases: readonly {
    readonly name: string;
    readonly text: string;
    readonly ids: number[];
    readonly ids_without_special: number[];
    readonly offsets_utf16: [number, number][];
    readonly decoded: string;
  }[];
}

describe.skipIf(!hasShared)(`the recorded vocabulary${hasShared ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('a BPE with byte fallback, as GGUF has it, gives the recorded ids, texts and offsets', () => {
    const read = (name: string): unknown =>
      JSON.parse(readFileSync(join(shared, 'golden/tokenizers/bpe-byte-fallback', name), 'utf8'));
    const { model } = read('tokenizer.json') as { model: { vocab: Record<string, number>; merges: string[][] } };
    const pieces = Object.entries(model.vocab)
      .sort(([, a], [, b]) => a - b)
      .map(([piece]) => piece);
    // Scores as llama.cpp's converter finds them in such vocabularies: the earlier a piece, the better.
    const path = stored(
      'recorded.gguf',
      pieces,
      pieces.map((_, at) => -at),
    );
    const tokenizer = openTokenizer(path);
    const { cases } = read('cases.json') as Golden;
    for (const { name, text, ids, ids_without_special, offsets_utf16, decoded } of cases) {
      expect(tokenizer.encode(text), name).toEqual(ids);
      expect(tokenizer.encode(text, { bos: 'never' }), name).toEqual(ids_without_special);
      expect(tokenizer.offsets(text, { bos: 'never' }), name).toEqual(offsets_utf16);
      expect(tokenizer.decode(ids), name).toBe(decoded);
    }
    expect(cases.length).toBeGreaterThan(50);
  });
});
