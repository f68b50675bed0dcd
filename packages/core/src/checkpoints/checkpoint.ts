import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import type { Hash } from '@circuitscope/schema';
import { type BlockDtype, blockFormats, isBlockDtype } from './block-dtypes.ts';

/** Types that tensors have in files. f32, bf16, f16 and f64 are weights; the others are buffers, masks, indices. */
export type StoredDtype =
  | 'f64'
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'i64'
  | 'i32'
  | 'i16'
  | 'i8'
  | 'u64'
  | 'u32'
  | 'u16'
  | 'u8'
  | 'bool';

export const bytesPerEntry: Readonly<Record<StoredDtype, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u64: 8,
  u32: 4,
  u16: 2,
  u8: 1,
  bool: 1,
};

/** Bytes of `count` entries; no whole number where blocks are cut. */
export function bytesOfEntries(dtype: StoredDtype | BlockDtype, count: number): number {
  if (!isBlockDtype(dtype)) return count * bytesPerEntry[dtype];
  const { entries, bytes } = blockFormats[dtype];
  return (count / entries) * bytes;
}

/**
 * Where a tensor lies: little-endian; dense and row-major, so that `byteLength` = product of the shape × bytes of an entry,
 * unless `strides` says otherwise: then it is the bytes from its first entry to its last one.
 */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype | BlockDtype;
  readonly shape: readonly number[];
  /** The file that holds it; empty where `data` does. */
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** In entries; absent where the tensor is dense and row-major. Never negative; the tensor has no more entries than its bytes. */
  readonly strides?: readonly number[];
  /** Where a zip entry holds it deflated: then `byteOffset` counts from the start of what these bytes unpack to. */
  readonly deflated?: { readonly byteOffset: number; readonly byteLength: number; readonly unpackedBytes: number };
  /** Where an HDF5 file holds it in chunks: then `byteOffset` counts from the start of the dataset that they make up. */
  readonly chunks?: StoredChunks;
  /** The values themselves, where they are in memory: hand-written or computed ones. */
  readonly data?: Float32Array;
}

/** A dense, row-major array that is cut into blocks of one shape, those at the far edges padded. */
export interface StoredChunks {
  /** The array's shape, and a chunk's. */
  readonly whole: readonly number[];
  readonly shape: readonly number[];
  readonly entryBytes: number;
  /** What was done to each chunk, in order. */
  readonly filters: readonly ('deflate' | 'shuffle')[];
  /** In row-major order of their places; `start` is a chunk's first entry. */
  readonly pieces: readonly {
    readonly start: readonly number[];
    readonly byteOffset: number;
    readonly byteLength: number;
  }[];
}

export interface CheckpointFile {
  readonly path: string;
  readonly byteLength: number;
  readonly sha256?: string;
}

/** Named weights and a configuration, as their authors stored them. Opening reads headers only. */
export interface Checkpoint {
  readonly kind: 'huggingface' | 'pytorch' | 'npz' | 'gguf' | 'onnx' | 'keras' | 'tfjs' | 'llama2c' | 'memory';
  readonly path: string;
  /** What the format says of the architecture: config.json, or the header's fields. Checked by whoever reads it. */
  readonly config: unknown;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Files that the weights and configuration come from, sorted by name. */
  readonly files: readonly CheckpointFile[];
  /** What the checkpoint is, wherever it lies: names, lengths and contents of its files. Read once, then remembered. */
  contentHash(): Promise<Hash>;
}

/** sha256 over `name length sha256` lines of the files, sorted by name; folders and times do not enter. */
export async function hashFiles(files: readonly CheckpointFile[]): Promise<Hash> {
  const lines: string[] = [];
  for (const file of files) lines.push(`${basename(file.path)} ${file.byteLength} ${await hashFile(file.path)}\n`);
  const hash = createHash('sha256').update(lines.sort().join(''));
  return `sha256:${hash.digest('hex')}`;
}

/** sha256 of one file in hex, streamed. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}

/** The function, called at most once. */
export function remembered(compute: () => Promise<Hash>): () => Promise<Hash> {
  let hash: Promise<Hash> | undefined;
  return () => {
    hash ??= compute();
    return hash;
  };
}

/** Files in the order of their names, so that equal checkpoints list equal files. */
export function sortedFiles(files: readonly CheckpointFile[]): readonly CheckpointFile[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
