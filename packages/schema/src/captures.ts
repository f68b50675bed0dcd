import { z } from 'zod';
import { Hash } from './hash.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { finite, index, list, name, record, text } from './shape.ts';
import { Site } from './site.ts';

/** Where to go on: the first document, and the first of its tokens, that no shard holds. */
export const CorpusPlace = record({ document: index, token: index });
export type CorpusPlace = z.infer<typeof CorpusPlace>;

/** What a corpus is, and how it was read. */
export const CorpusRef = record({
  /** Without folders: the file may have moved. */
  file: text,
  format: z.enum(['text', 'jsonl', 'npy', 'bin', 'parquet']),
  bytes: index,
  /** Of its first and last mebibyte. */
  ends: Hash,
  field: text,
  tokenBytes: z.union([z.literal(2), z.literal(4)]),
});
export type CorpusRef = z.infer<typeof CorpusRef>;

/** Whether each document begins with the token that marks a beginning: as its vocabulary says, always, or never. */
export const BosRule = z.enum(['auto', 'always', 'never']);

/**
 * The manifest of a folder of activations: each shard is a safetensors file with `tokens`, `document` and `position` [n] and
 * every site [n, …], one row a token. It is written after each shard, so that an interrupted capture goes on from `next`.
 */
export const Captures = record({
  kind: z.literal('captures'),
  version: z.literal(1),
  model: ModelRef,
  /** Changes whenever a kernel's bits do. */
  numericsVersion: name,
  corpus: CorpusRef,
  sites: list(record({ site: Site, shape: list(index, 4) }), 4096),
  /** The longest row of tokens; documents are cut into rows. */
  length: index,
  bos: BosRule,
  /** No more tokens than this are captured; absent limits are the largest whole number. */
  limit: index,
  shardBytes: index,
  shards: list(record({ file: name, tokens: index, bytes: index, sha256: Hash, next: CorpusPlace }), 1 << 20),
  tokens: index,
  documents: index,
  next: CorpusPlace,
  complete: z.boolean(),
  /** The share of the corpus that is captured, by bytes or documents. */
  share: finite.min(0).max(1),
}).refine(({ shards, tokens }) => shards.reduce((sum, shard) => sum + shard.tokens, 0) === tokens, {
  path: ['tokens'],
  error: 'the shards hold another number of tokens',
});
export type Captures = z.infer<typeof Captures>;

export const parseCaptures = (value: unknown) => parseStored(Captures, 'captures', value);
