import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, expect, test } from 'vitest';
import { ggufFile, meta } from '../checkpoints/gguf-file.fixture.ts';
import { Rng } from '../tensor/index.ts';
import { charsmapOf } from './aligned/charsmap.fixture.ts';
import { openTokenizer } from './open-tokenizer.ts';

// Every parser of tokenizer files, over files with a few wrong bytes: a tokenizer, or an error that names the file. More runs by
// CIRCUITSCOPE_FUZZ.

const runs = Number(process.env.CIRCUITSCOPE_FUZZ ?? 150);
const root = mkdtempSync(join(tmpdir(), 'circuitscope-hostile-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const key = (name: string): string => `tokenizer.ggml.${name}`;
const pieces = ['<unk>', '<s>', '</s>', '▁', 'a', 'b', 'ab'];
const vocab = JSON.stringify({ a: 0, b: 1, ab: 2, Ġ: 3, Ġa: 4, '<|endoftext|>': 5 });
const merges = '#version: 0.2\na b\nĠ a\n';

function llama2c(): Uint8Array {
  const spellings = ['<unk>', '\n<s>\n', '\n</s>\n', ' ', 'a', 'b', 'ab'].map(utf8);
  const bytes = new Uint8Array(4 + spellings.reduce((sum, { length }) => sum + 8 + length, 0));
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 8, true);
  let at = 4;
  for (const spelling of spellings) {
    view.setFloat32(at, -at, true);
    view.setInt32(at + 4, spelling.length, true);
    bytes.set(spelling, at + 8);
    at += 8 + spelling.length;
  }
  return bytes;
}

const json = utf8(
  JSON.stringify({
    added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false }],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { String: ' ' }, content: '▁' }] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: { type: 'BPE', vocab: { '<s>': 0, a: 1, b: 2, ab: 3, '▁': 4 }, merges: [['a', 'b']], unk_token: null },
  }),
);

const special = { special: true, normalized: false };

const pieceFile = utf8(
  JSON.stringify({
    added_tokens: [
      { id: 0, content: '<unk>', ...special },
      { id: 1, content: '</s>', ...special },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Precompiled', precompiled_charsmap: charsmapOf({ ﬁ: 'fi' }, 512) },
        { type: 'Nmt' },
        { type: 'NFKC' },
      ],
    },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: {
      type: 'Unigram',
      unk_id: 0,
      byte_fallback: true,
      vocab: [['<unk>', 0], ['</s>', 0], ['▁', -1], ['a', -2], ['b', -2.5], ['▁ab', -1.5]], // biome-ignore format: a list
    },
  }),
);

const wordFile = utf8(
  JSON.stringify({
    added_tokens: [{ id: 0, content: '[UNK]', ...special, lstrip: true, single_word: true }],
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'BertPreTokenizer' }, { type: 'Digits', individual_digits: true }],
    },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 2], cls: ['[CLS]', 1] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '[UNK]': 0, '[CLS]': 1, '[SEP]': 2, a: 3, ab: 4, '##b': 5 },
    },
  }),
);

/** Files by name; the first is opened, and the one at `wrong` is the one with wrong bytes. */
const files: readonly { readonly name: string; readonly wrong: string; readonly files: Record<string, Uint8Array> }[] =
  [
    { name: 'tokens.json', wrong: 'tokens.json', files: { 'tokens.json': utf8('["<bos>","a","b","ab"]') } },
    { name: 'tokenizer.json', wrong: 'tokenizer.json', files: { 'tokenizer.json': json } },
    { name: 'a tokenizer.json of pieces', wrong: 'tokenizer.json', files: { 'tokenizer.json': pieceFile } },
    { name: 'a tokenizer.json of words', wrong: 'tokenizer.json', files: { 'tokenizer.json': wordFile } },
    { name: 'vocab.json', wrong: 'vocab.json', files: { 'vocab.json': utf8(vocab), 'merges.txt': utf8(merges) } },
    { name: 'merges.txt', wrong: 'merges.txt', files: { 'vocab.json': utf8(vocab), 'merges.txt': utf8(merges) } },
    {
      name: 'vocab.txt',
      wrong: 'vocab.txt',
      files: { 'vocab.txt': utf8('[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n##c\na\n') },
    },
    { name: 'tok7.bin', wrong: 'tok7.bin', files: { 'tok7.bin': llama2c() } },
    {
      name: 'a GGUF of bytes',
      wrong: 'm.gguf',
      files: {
        'm.gguf': ggufFile(
          [
            meta.text(key('model'), 'gpt2'),
            meta.texts(key('tokens'), ['a', 'b', 'ab', 'Ġ', '<|endoftext|>']),
            meta.texts(key('merges'), ['a b']),
            meta.i32s(key('token_type'), [1, 1, 1, 1, 3]),
            meta.u32(key('bos_token_id'), 4),
          ],
          [],
        ),
      },
    },
    {
      name: 'a GGUF of pieces',
      wrong: 'm.gguf',
      files: {
        'm.gguf': ggufFile(
          [
            meta.text(key('model'), 'llama'),
            meta.texts(key('tokens'), pieces),
            meta.f32s(key('scores'), [0, 0, 0, -1, -2, -3, -4]),
            meta.i32s(key('token_type'), [2, 3, 3, 1, 1, 1, 1]),
            meta.flag(key('add_space_prefix'), true),
          ],
          [],
        ),
      },
    },
  ];

test.each(files)(
  '$name with wrong bytes: a tokenizer, or an error that names the file',
  ({ name, wrong, files: given }) => {
    const rng = new Rng(11, `hostile ${name}`);
    const folder = join(root, name.replaceAll(' ', '-'));
    mkdirSync(folder);
    for (const [file, bytes] of Object.entries(given)) writeFileSync(join(folder, file), bytes);
    const opened = join(folder, Object.keys(given)[0] ?? '');
    const base = given[wrong] ?? new Uint8Array();
    const taken = openTokenizer(opened);
    expect(taken.decode(taken.encode('ab', { bos: 'never' }))).toContain('ab');
    let refused = 0;
    for (let run = 0; run < runs; run++) {
      const bytes = Uint8Array.from(base);
      for (let change = 0; change <= rng.below(4); change++) {
        const at = rng.below(bytes.length);
        bytes[at] = rng.below(2) === 0 ? rng.below(256) : (bytes[at] ?? 0) ^ (1 << rng.below(8));
      }
      const cut = rng.below(4) === 0 ? rng.below(bytes.length) : bytes.length;
      writeFileSync(join(folder, wrong), bytes.subarray(0, cut));
      try {
        const tokenizer = openTokenizer(opened);
        const ids = tokenizer.encode('ab a', { bos: 'never' });
        tokenizer.decode(ids);
        for (const id of [...ids, ...tokenizer.encode('ab')]) expect(id).toBeLessThan(tokenizer.size);
        const places = tokenizer.offsets('ab a', { bos: 'never' });
        expect(places).toHaveLength(ids.length);
        for (const [start, end] of places) expect(start <= end && end <= 4 && start >= 0).toBe(true);
      } catch (error) {
        if (!(error instanceof CircuitscopeError)) throw error;
        expect(error.message).toContain(folder);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThanOrEqual(runs);
  },
);
