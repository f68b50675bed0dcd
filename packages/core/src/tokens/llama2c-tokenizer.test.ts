import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { hasShared, shared, withoutShared } from '../checkpoints/shared-data.ts';
import { Rng } from '../tensor/index.ts';
import { openLlama2cTokenizer, parseLlama2cTokenizer } from './llama2c-tokenizer.ts';
import { openTokenizer } from './open-tokenizer.ts';

/** A tokenizer file of `[spelling, score]`. */
function file(pieces: readonly (readonly [string, number])[], longest = 20): Uint8Array {
  const parts = [Buffer.from(Int32Array.of(longest).buffer)];
  for (const [text, score] of pieces) {
    const bytes = Buffer.from(text);
    parts.push(Buffer.from(Float32Array.of(score).buffer), Buffer.from(Int32Array.of(bytes.length).buffer), bytes);
  }
  return Buffer.concat(parts);
}
const bytePieces = Array.from(
  { length: 256 },
  (_, byte) => [`<0x${byte.toString(16).padStart(2, '0').toUpperCase()}>`, 0] as const,
);
const pieces = [
  ['<unk>', 0],
  ['\n<s>\n', 0],
  ['\n</s>\n', 0],
  ...bytePieces,
  ['ab', -2],
  [' a', -1],
  [' ', -3],
  ['a', -4],
  ['b', -5],
] as const;
const small = parseLlama2cTokenizer(file(pieces), 'tok.bin');
const [AB, SPACE_A, SPACE, A, B] = [259, 260, 261, 262, 263];
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'fine';
};

describe('llama2.c tokenizer', () => {
  test('a text begins with BOS and a space; the better merge wins', () => {
    expect(small.size).toBe(264);
    expect(small.encode('ab')).toEqual([1, SPACE_A, B]); // " a" beats "ab"
    expect(small.encode('b ab', { bos: 'never' })).toEqual([SPACE, B, SPACE_A, B]);
    expect(small.encode('bab', { bos: 'never' })).toEqual([SPACE, B, AB]);
    expect(small.encode('')).toEqual([1]);
    expect(small.encode('', { bos: 'never' })).toEqual([]);
  });

  test('a character that the vocabulary lacks becomes its bytes, and these decode to it again', () => {
    const ids = small.encode('aé🙂\n', { bos: 'never' });
    expect(ids).toEqual([SPACE_A, ...[...Buffer.from('é🙂\n')].map((byte) => byte + 3)]);
    expect(small.decode(ids)).toBe(' aé🙂\n');
    expect([...small.decodeBytes(ids.slice(1, 2))]).toEqual([0xc3]);
    expect(small.decode(ids.slice(1, 2))).toBe('\ufffd');
  });

  test('every token lies in its text; the space before it where the first character does', () => {
    expect(small.offsets('', { bos: 'never' })).toEqual([]);
    expect(small.offsets('')).toEqual([[0, 0]]);
    expect(small.offsets('b')).toHaveLength(small.encode('b').length);
    expect(small.offsets('bab', { bos: 'never' })).toEqual([
      [0, 1],
      [0, 1],
      [1, 3],
    ]);
    expect(small.offsets('aé🙂', { bos: 'never' })).toEqual([
      [0, 1],
      ...Array(2).fill([1, 2]),
      ...Array(4).fill([2, 4]),
    ]);
    // The space is a token of its own, before two units.
    expect(small.offsets('🙂 a', { bos: 'never' })).toEqual([[0, 2], ...Array(4).fill([0, 2]), [2, 4]]);
  });

  test('decoding drops BOS and one space after it, and no other', () => {
    expect(small.decode([1, SPACE_A, SPACE_A])).toBe('a a');
    expect(small.decode([SPACE_A])).toBe(' a');
    expect(small.decode([1, SPACE, SPACE, A])).toBe(' a');
    expect(small.decode([])).toBe('');
    expect(small.token(13)).toBe('<0x0A>');
    expect(small.token(1)).toBe('\n<s>\n');
  });

  test('any text comes back from its tokens', () => {
    const random = new Rng(5, 'llama2c.text');
    const characters = ['a', 'b', ' ', 'é', '🙂', '\n', '<', '0', 'x', '\u0000', '\ufeff'];
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: random.below(30) }, () => characters[random.below(characters.length)]).join('');
      expect(small.decode(small.encode(text))).toBe(text);
    }
  });

  test('ids outside the vocabulary and characters without bytes are typed errors', () => {
    for (const id of [-1, 264, 1.5, Number.NaN, 2 ** 40]) {
      expect(codeOf(() => small.decode([id]))).toMatch(/unknown_token/);
      expect(codeOf(() => small.token(id))).toMatch(/unknown_token/);
    }
    const bare = parseLlama2cTokenizer(
      file([
        ['<unk>', 0],
        ['<s>', 0],
        [' ', 0],
        ['a', 0],
      ]),
      'tok.bin',
    );
    expect(bare.encode('a')).toEqual([1, 2, 3]);
    expect(codeOf(() => bare.encode('b'))).toMatch(/unknown_token.*byte 98/);
  });

  test('truncated and lying files are refused', () => {
    const valid = file(pieces.slice(0, 6));
    const refused = (bytes: Uint8Array) =>
      expect(codeOf(() => parseLlama2cTokenizer(bytes, 't'))).toMatch(/bad_tokenizer/);
    for (const length of [0, 3, 4, 5, 11, 12, 15, valid.length - 1]) refused(valid.subarray(0, length));
    refused(
      file([
        ['<unk>', Number.NaN],
        ['<s>', 0],
      ]),
    );
    refused(file(pieces, 3));
    refused(file(pieces, -1));
    for (const length of [-1, 2 ** 31 - 1, -(2 ** 31)]) {
      const bytes = Uint8Array.from(valid);
      new DataView(bytes.buffer).setInt32(8, length, true);
      refused(bytes);
    }
  });

  test('500 random mutations are refused or read', () => {
    const valid = file(pieces.slice(0, 20));
    const random = new Rng(3, 'llama2c.mutations');
    let refused = 0;
    for (let round = 0; round < 500; round++) {
      const bytes = Uint8Array.from(valid);
      for (let n = random.below(6) + 1; n > 0; n--) bytes[random.below(bytes.length)] = random.below(256);
      const outcome = codeOf(() => parseLlama2cTokenizer(bytes, 't'));
      if (outcome !== 'fine') expect(outcome).toMatch(/bad_tokenizer/);
      refused += outcome === 'fine' ? 0 : 1;
    }
    expect(refused).toBeGreaterThan(100);
  });
});

describe.skipIf(!hasShared)(`stories260K${withoutShared}`, () => {
  const folder = join(shared, 'data/lm/stories260K');
  const expected = hasShared ? readFileSync(join(folder, 'expected_greedy_200_steps.txt')) : Buffer.alloc(0);

  test('the recorded ids decode to the recorded 464 bytes', () => {
    const { greedy_token_ids: ids } = JSON.parse(readFileSync(join(shared, 'data/reference/stories260K.json'), 'utf8'));
    const tokenizer = openLlama2cTokenizer(join(folder, 'tok512.bin'));
    expect(tokenizer.size).toBe(512);
    const bytes = Buffer.from(tokenizer.decodeBytes(ids));
    expect(expected.length).toBe(464);
    expect(bytes.equals(expected)).toBe(true);
  });

  test('the recorded text encodes to the ids that the model wrote', () => {
    const { greedy_token_ids: ids } = JSON.parse(readFileSync(join(shared, 'data/reference/stories260K.json'), 'utf8'));
    expect(openTokenizer(join(folder, 'stories260K.bin')).encode(expected.toString())).toEqual(ids);
  });

  test('what stands where tokens lie is what they say', () => {
    const tokenizer = openTokenizer(join(folder, 'stories260K.bin'));
    const text = expected.toString();
    const ids = tokenizer.encode(text, { bos: 'never' });
    const offsets = tokenizer.offsets(text, { bos: 'never' });
    expect(offsets).toHaveLength(ids.length);
    ids.forEach((id, at) => {
      const [start, end] = offsets[at] ?? [0, 0];
      const said = tokenizer.decode([id]);
      if (at > 0 && !said.includes('\ufffd')) expect(text.slice(start, end)).toBe(said);
    });
    expect(offsets.at(-1)?.[1]).toBe(text.length);
  });

  test('stories and prose come back from their tokens', () => {
    const tokenizer = openTokenizer(join(folder, 'stories260K.bin'));
    for (const name of ['tinystories_sample.txt', 'names.txt']) {
      const text = readFileSync(join(shared, 'data/corpora', name), 'utf8');
      expect(tokenizer.decode(tokenizer.encode(text)) === text, name).toBe(true);
    }
  });
});
