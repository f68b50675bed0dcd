import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { CircuitscopeError, type Hash } from '@circuitscope/schema';
import { readNpy } from '../checkpoints/index.ts';
import { fileLength, readBytes } from '../checkpoints/read-bytes.ts';
import { parquetDocuments } from './corpus-parquet.ts';
import { jsonDocument, lines } from './corpus-text.ts';
import { type StoredTokens, storedTokens } from './corpus-tokens.ts';
import type { Bos, Tokenizer } from './tokenizer.ts';

// A corpus is documents in order. Texts are read a piece at a time and encoded when their turn comes, so that a corpus may be
// larger than memory and what was done before is passed over without being encoded again.

export interface CorpusOptions {
  /** For texts; null where the corpus holds token ids. */
  readonly tokenizer: Tokenizer | null;
  /** Of JSON lines and of Parquet: what holds the text, or the list of token ids. */
  readonly field?: string;
  /** Bytes of an id in a .bin file. */
  readonly tokenBytes?: 2 | 4;
  /** How many ids of a .bin file or of a .npy row are one document. */
  readonly length: number;
  /** How texts begin; `auto` if left out. */
  readonly bos?: Bos;
  /** Ids must be below it. */
  readonly vocab: number;
}

export interface CorpusDocument {
  readonly index: number;
  /** The share of the corpus up to its end. */
  readonly share: number;
  readonly tokens: () => readonly number[];
}

export type CorpusFormat = 'text' | 'jsonl' | 'npy' | 'bin' | 'parquet';

export interface Corpus {
  readonly format: CorpusFormat;
  readonly file: string;
  readonly bytes: number;
  /** Of the first and the last mebibyte. */
  readonly ends: Hash;
  /** Documents from an index on. */
  readonly documents: (from: number) => AsyncGenerator<CorpusDocument>;
}

const END_BYTES = 1 << 20;

/**
 * Opens a corpus by the ending of its name: .txt (a document a line), .jsonl or .ndjson, .npy (a document a row), .bin (ids of 2
 * or 4 bytes, little-endian), .parquet.
 * @throws CircuitscopeError `bad_corpus`, `missing_tokenizer`, `out_of_range` for ids that the vocabulary lacks
 */
export function openCorpus(path: string, options: CorpusOptions): Corpus {
  const bytes = fileLength(path);
  const format = formatOf(path);
  const read = {
    text: () => textDocuments(path, bytes, options, (line) => line),
    jsonl: () => textDocuments(path, bytes, options, (line, at) => jsonDocument(line, at, options.field ?? 'text')),
    npy: () => tokenDocuments(storedTokens(readNpy(path), options.length), options, path),
    bin: () => tokenDocuments(rawTokens(path, bytes, options), options, path),
    parquet: () =>
      async function* (from: number) {
        for await (const { index, share, value } of parquetDocuments(path, options.field ?? 'text', from))
          yield { index, share, tokens: () => encoded(value, `${path}: row ${index}`, options) };
      },
  }[format];
  return { format, file: basename(path), bytes, ends: hashEnds(path, bytes), documents: read() };
}

function formatOf(path: string): CorpusFormat {
  const [ending = ''] = /\.[a-z]+$/.exec(path.toLowerCase()) ?? [];
  const formats: { readonly [ending: string]: CorpusFormat } = {
    '.txt': 'text',
    '.jsonl': 'jsonl',
    '.ndjson': 'jsonl',
    '.npy': 'npy',
    '.bin': 'bin',
    '.parquet': 'parquet',
  };
  const format = formats[ending];
  if (format) return format;
  throw new CircuitscopeError(
    'bad_corpus',
    `${path} is no corpus that is read here; its name must end in ${Object.keys(formats).join(', ')}.`,
    { at: path, expected: Object.keys(formats).join(', '), got: ending },
  );
}

function textDocuments(
  path: string,
  bytes: number,
  options: CorpusOptions,
  read: (line: string, at: string) => string | readonly number[],
): Corpus['documents'] {
  return async function* (from) {
    let index = 0;
    for (const { line, end, number } of lines(path, bytes)) {
      if (line.trim() === '') continue;
      const at = `${path}:${number}`;
      if (index >= from) yield { index, share: end / bytes, tokens: () => encoded(read(line, at), at, options) };
      index += 1;
    }
  };
}

function tokenDocuments(stored: StoredTokens, options: CorpusOptions, path: string): Corpus['documents'] {
  return async function* (from) {
    for (let index = from; index < stored.count; index++) {
      const at = `${path}: document ${index}`;
      yield { index, share: (index + 1) / stored.count, tokens: () => encoded(stored.read(index), at, options) };
    }
  };
}

function rawTokens(path: string, bytes: number, { tokenBytes = 2, length }: CorpusOptions): StoredTokens {
  if (bytes % tokenBytes !== 0) {
    throw new CircuitscopeError(
      'bad_corpus',
      `${path} has ${bytes} bytes, which is no whole number of ids of ${tokenBytes} bytes.`,
      { at: path, expected: `a multiple of ${tokenBytes}`, got: String(bytes) },
    );
  }
  const dtype = tokenBytes === 2 ? 'u16' : 'u32';
  const shape = [bytes / tokenBytes];
  return storedTokens({ name: 'ids', dtype, shape, file: path, byteOffset: 0, byteLength: bytes }, length);
}

function encoded(
  value: string | readonly number[],
  at: string,
  { tokenizer, bos = 'auto', vocab }: CorpusOptions,
): readonly number[] {
  if (typeof value === 'string' && !tokenizer) {
    throw new CircuitscopeError('missing_tokenizer', `${at} is text, and there is no tokenizer to read it with.`, {
      at,
    });
  }
  const ids = typeof value === 'string' ? (tokenizer?.encode(value, { bos }) ?? []) : value;
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (bad === undefined) return ids;
  throw new CircuitscopeError(
    'out_of_range',
    `${at} holds the id ${bad}, which the vocabulary of ${vocab} tokens lacks.`,
    {
      at,
      expected: `0 to ${vocab - 1}`,
      got: String(bad),
    },
  );
}

function hashEnds(path: string, bytes: number): Hash {
  const hash = createHash('sha256');
  hash.update(readBytes(path, 0, Math.min(bytes, END_BYTES)));
  if (bytes > END_BYTES)
    hash.update(readBytes(path, Math.max(END_BYTES, bytes - END_BYTES), Math.min(END_BYTES, bytes - END_BYTES)));
  return `sha256:${hash.digest('hex')}`;
}
