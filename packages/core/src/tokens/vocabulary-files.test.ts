import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { ggufFile, type Meta, meta } from '../checkpoints/gguf-file.fixture.ts';
import { hasShared, shared, withoutShared } from '../checkpoints/shared-data.ts';
import { openTokenizer } from './open-tokenizer.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-vocabularies-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = mkdtempSync(join(root, `${folders++}-`));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'fine';
};

const vocab = { a: 0, b: 1, ab: 2, Ġ: 3, Ġa: 4, '<|endoftext|>': 5 };
const merges = '#version: 0.2\na b\nĠ a\n';

describe('vocab.json and merges.txt', () => {
  test('split, merged in order, and the beginning of a text three ways', () => {
    const tokenizer = openTokenizer(folder({ 'vocab.json': JSON.stringify(vocab), 'merges.txt': merges }));
    expect([tokenizer.size, tokenizer.bosId]).toEqual([6, 5]);
    expect(tokenizer.encode('ab a')).toEqual([2, 4]);
    expect(tokenizer.encode('ab a', { bos: 'auto' })).toEqual([2, 4]);
    expect(tokenizer.encode('ab a', { bos: 'never' })).toEqual([2, 4]);
    expect(tokenizer.encode('ab a', { bos: 'always' })).toEqual([5, 2, 4]);
    expect(tokenizer.encode('<|endoftext|>a', { bos: 'always' })).toEqual([5, 0]);
    expect(tokenizer.decode([5, 2, 4])).toBe('ab a');
  });

  test('a pair that is broken or not whole is refused', () => {
    const open = (files: Record<string, string | Uint8Array>) => codeOf(() => openTokenizer(folder(files)));
    expect(open({ 'vocab.json': JSON.stringify(vocab) })).toMatch(/missing_tokenizer/);
    expect(open({ 'vocab.json': '[]', 'merges.txt': merges })).toMatch(/bad_tokenizer/);
    expect(open({ 'vocab.json': '{"a":-1}', 'merges.txt': merges })).toMatch(/bad_tokenizer/);
    for (const bad of ['a\n', 'a b c\n', ' a\n', 'a  b\n'])
      expect(open({ 'vocab.json': JSON.stringify(vocab), 'merges.txt': bad }), bad).toMatch(/bad_tokenizer.*merge 0/);
    expect(open({ 'vocab.json': '{}', 'merges.txt': Uint8Array.of(0xff) })).toMatch(/bad_tokenizer.*UTF-8/);
  });
});

describe('vocab.txt', () => {
  const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'ab', '##c', 'x'];

  test('words, their continuations, and the markers around them', () => {
    const tokenizer = openTokenizer(folder({ 'vocab.txt': `${words.join('\n')}\n` }));
    expect(tokenizer.encode('ABC x')).toEqual([2, 4, 5, 6, 3]); // no capital in the vocabulary: small letters
    expect(tokenizer.encode('abc', { bos: 'never' })).toEqual([4, 5]);
    expect(tokenizer.encode('abc', { bos: 'always' })).toEqual([2, 4, 5, 3]);
    const cased = folder({ 'vocab.txt': words.join('\n'), 'tokenizer_config.json': '{"do_lower_case":false}' });
    expect(openTokenizer(cased).encode('AB ab', { bos: 'never' })).toEqual([1, 4]);
    expect(openTokenizer(folder({ 'vocab.txt': [...words, 'AB'].join('\n') })).encode('AB', { bos: 'never' })).toEqual([
      7,
    ]);
  });

  test('a list without the special words, or with a word twice, is refused', () => {
    expect(codeOf(() => openTokenizer(folder({ 'vocab.txt': 'a\nb\n' })))).toMatch(/bad_tokenizer.*special/);
    expect(codeOf(() => openTokenizer(folder({ 'vocab.txt': [...words, 'x'].join('\n') })))).toMatch(/twice/);
  });
});

describe('GGUF vocabularies', () => {
  const kinds: Meta = [
    'tokenizer.ggml.token_type',
    9,
    [5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, ...[1, 1, 1, 1, 1, 3].flatMap((kind) => [kind, 0, 0, 0])],
  ];
  const whole = (more: readonly Meta[] = []): Meta[] => [
    meta.text('tokenizer.ggml.model', 'gpt2'),
    meta.texts('tokenizer.ggml.tokens', Object.keys(vocab)),
    meta.texts('tokenizer.ggml.merges', ['a b', 'Ġ a']),
    meta.u32('tokenizer.ggml.bos_token_id', 5),
    kinds,
    ...more,
  ];
  const open = (metadata: readonly Meta[]) =>
    openTokenizer(join(folder({ 'm.gguf': ggufFile(metadata, []) }), 'm.gguf'));

  test('the metadata give tokens, merges, and whether texts begin with BOS', () => {
    expect(open(whole()).encode('ab a')).toEqual([2, 4]);
    expect(open(whole()).encode('ab a', { bos: 'always' })).toEqual([5, 2, 4]);
    const adds = open(whole([['tokenizer.ggml.add_bos_token', 7, [1]]]));
    expect(adds.encode('ab a')).toEqual([5, 2, 4]);
    expect(adds.encode('ab a', { bos: 'always' })).toEqual([5, 2, 4]);
    expect(adds.encode('ab a', { bos: 'never' })).toEqual([2, 4]);
  });

  test('other kinds and splits are refused by name', () => {
    expect(codeOf(() => open([meta.text('tokenizer.ggml.model', 'bert')]))).toMatch(/unsupported_tokenizer.*bert/);
    expect(codeOf(() => open([]))).toMatch(/unsupported_tokenizer.*none/);
    expect(codeOf(() => open(whole([meta.text('tokenizer.ggml.pre', 'chameleon')])))).toMatch(/chameleon/);
    const [, , , ...rest] = whole();
    expect(codeOf(() => open([meta.text('tokenizer.ggml.model', 'gpt2'), ...rest]))).toMatch(/bad_tokenizer.*tokens/);
  });
});

describe.skipIf(!hasShared)(`recorded vocabularies${withoutShared}`, () => {
  test.each([
    ['gpt2', 1148],
    ['bert-base-uncased', 723],
  ])('%s gives the reference tokenisation of a text of 3,325 bytes', (name, count) => {
    const folder = join(shared, 'data/tokenizers');
    const text = readFileSync(join(folder, 'reftests/monty-python-credits.txt'), 'utf8');
    const reference = JSON.parse(readFileSync(join(folder, `reftests/monty-python-credits-${name}.json`), 'utf8'));
    const ids = openTokenizer(join(folder, name)).encode(text);
    expect(ids.length).toBe(count);
    expect(ids).toEqual(reference.token_ids);
  });

  test('the vocabulary in a GGUF model is that of its tokenizer.json', () => {
    const tokenizer = openTokenizer(join(shared, 'golden/formats/gguf/gpt2-f32.gguf'));
    const { cases } = JSON.parse(readFileSync(join(shared, 'golden/tokenizers/bpe-gpt2/cases.json'), 'utf8'));
    expect(tokenizer.bosId).toBe(0);
    expect(tokenizer.size).toBe(300); // the first 300 of 400 tokens
    expect(tokenizer.encode(cases[5].text).length).toBeGreaterThan(5);
    for (const { text } of cases) if (!text.includes('<|')) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test('Pythia’s whole vocabulary opens from GGUF metadata', () => {
    const tokenizer = openTokenizer(join(shared, 'data/gguf/ggml-vocab-gpt-neox.gguf'));
    expect(tokenizer.size).toBe(50432);
    expect(tokenizer.decode(tokenizer.encode('The Eiffel Tower is in Paris.'))).toBe('The Eiffel Tower is in Paris.');
  });
});
