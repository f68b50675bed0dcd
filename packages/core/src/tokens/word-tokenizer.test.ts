import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openTokenizer } from './open-tokenizer.ts';
import { wordTokenizer } from './word-tokenizer.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-words-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = join(root, 'tokens.json');

describe('word tokenizer', () => {
  const words = wordTokenizer(['<bos>', 'the', 'cat', '__proto__'], 'tokens.json');

  test('splits at spaces, joins with one, and leaves <bos> out of the text', () => {
    expect(words.size).toBe(4);
    expect(words.encode(' the  cat the ')).toEqual([1, 2, 1]);
    expect(words.encode('the __proto__', { bos: 'always' })).toEqual([0, 1, 3]);
    expect(words.decode([0, 1, 3])).toBe('the __proto__');
    expect(words.encode('')).toEqual([]);
    expect(words.offsets(' the  cat')).toEqual([
      [1, 4],
      [6, 9],
    ]);
    expect(words.offsets('the', { bos: 'always' })).toEqual([
      [0, 0],
      [0, 3],
    ]);
    expect(() => words.offsets('the dog')).toThrow(/"dog"/);
    expect(words.token(0)).toBe('<bos>');
  });

  test('an unknown word, id or <bos> is an error that names it', () => {
    expect(() => words.encode('the dog')).toThrow(/"dog"/);
    expect(() => words.encode('constructor')).toThrow(/"constructor"/);
    expect(() => words.decode([4])).toThrow(/id 4/);
    expect(() => words.token(-1)).toThrow(/id -1/);
    expect(() => wordTokenizer(['a'], 't').encode('a', { bos: 'always' })).toThrow(/no token that begins a text/);
  });

  test('a file is found in its directory, and must be a flat list of different words', () => {
    writeFileSync(path, '["a","b"]');
    writeFileSync(join(root, 'model.safetensors'), '');
    expect(openTokenizer(root).encode('b a')).toEqual([1, 0]);
    expect(openTokenizer(join(root, 'model.safetensors')).kind).toBe('words');
    for (const text of ['{}', '["a","a"]', '["a",1]', '["a b"]', '[""]', '[["a"]]', '["a"', 'null', '['.repeat(1e6)]) {
      writeFileSync(path, text);
      expect(() => openTokenizer(path), text.slice(0, 20)).toThrow(expect.objectContaining({ code: 'bad_tokenizer' }));
    }
    rmSync(path);
    expect(() => openTokenizer(root)).toThrow(expect.objectContaining({ code: 'missing_tokenizer' }));
  });
});
