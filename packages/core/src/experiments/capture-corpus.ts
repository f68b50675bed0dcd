import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Captures, CircuitscopeError, type CorpusPlace, type Site } from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import { hashFile, type TensorToWrite, writeSafetensors } from '../checkpoints/index.ts';
import { findSite } from '../graph/index.ts';
import { type Engine, makePlan, type RunOptions, readoutTensor, runPlan } from '../plan/index.ts';
import type { Bos, Corpus } from '../tokens/index.ts';
import { openCaptures, saveManifest } from './captures-folder.ts';
import { type CorpusBatch, type CorpusRow, corpusBatches, requireContext } from './corpus-batches.ts';
import { numericsVersion } from './versions.ts';

// Activations of a corpus, row by row into files of a bounded size. What a file holds depends on the corpus and the settings
// alone, never on batches or on where an earlier attempt ended, so an interrupted capture ends with the bytes of a whole one.

export interface CaptureCorpusOptions extends Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'> {
  readonly corpus: Corpus;
  readonly folder: string;
  readonly sites: readonly Site[];
  /** Documents are cut into rows of at most this many tokens. */
  readonly length: number;
  readonly field: string;
  readonly tokenBytes: 2 | 4;
  readonly bos: Bos;
  /** Stop after this many tokens. */
  readonly limit?: number;
  /** A file is closed once it holds this much; 256 MiB if left out. */
  readonly shardBytes?: number;
  /** How many tokens, padding included, are run together. */
  readonly batchTokens?: number;
  readonly onProgress?: (done: CaptureProgress) => void;
}

export interface CaptureProgress {
  readonly tokens: number;
  /** Of those, how many this call has captured. */
  readonly fresh: number;
  /** Of the corpus, or of the limit. */
  readonly share: number;
}

/**
 * Captures sites over a corpus into a folder, or goes on where an earlier call ended.
 * @throws CircuitscopeError `wrong_capture` where the folder holds a capture of other settings, `bad_site` for sites without
 *   one value a token, `bad_captures` for a damaged manifest
 */
export async function captureCorpus(engine: Engine, model: Model, options: CaptureCorpusOptions): Promise<Captures> {
  const { corpus, folder, length, limit = Number.MAX_SAFE_INTEGER, shardBytes = 1 << 28, batchTokens = 4096 } = options;
  const { onProgress, signal, threads, memoryBytes } = options;
  requireContext(model, length);
  const sites = options.sites.map((site) => ({ site, shape: perToken(engine, site) }));
  const fresh: Captures = {
    kind: 'captures',
    version: 1,
    model: await modelRef(model),
    numericsVersion: numericsVersion(engine.executor.info),
    corpus: {
      file: corpus.file,
      format: corpus.format,
      bytes: corpus.bytes,
      ends: corpus.ends,
      field: options.field,
      tokenBytes: options.tokenBytes,
    },
    sites,
    length,
    bos: options.bos,
    limit,
    shardBytes,
    shards: [],
    tokens: 0,
    documents: 0,
    next: { document: 0, token: 0 },
    complete: false,
    share: 0,
  };
  mkdirSync(folder, { recursive: true });
  let manifest = openCaptures(folder, fresh);
  if (manifest.complete) return manifest;
  if (manifest === fresh) saveManifest(folder, manifest);
  const before = manifest.tokens;
  const shard = new Shard(sites);
  let share = manifest.share;
  const close = async (complete: boolean, next: CorpusPlace): Promise<void> => {
    const { shards } = manifest;
    if (shard.tokens > 0) {
      const file = `captures-${String(shards.length).padStart(6, '0')}.safetensors`;
      writeSafetensors(join(folder, file), shard.tensors());
      const sha256 = `sha256:${await hashFile(join(folder, file))}` as const;
      const { size: bytes } = statSync(join(folder, file));
      manifest = {
        ...manifest,
        shards: [...shards, { file, tokens: shard.tokens, bytes, sha256, next }],
        tokens: manifest.tokens + shard.tokens,
      };
      shard.clear();
    }
    manifest = { ...manifest, next, documents: next.document, complete, share };
    saveManifest(folder, manifest);
  };
  const plan = makePlan(engine.graph, { readouts: sites.map(({ site }) => ({ kind: 'capture', at: { site } })) });
  const settings = {
    ...(signal ? { signal } : {}),
    ...(threads ? { threads } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
  };
  const flush = async ({ rows, longest, prompt }: CorpusBatch): Promise<void> => {
    const run = await runPlan(engine, plan, prompt, settings);
    for (const [index, row] of rows.entries()) {
      shard.add(row, (site) => {
        const { data } = readoutTensor(run, site);
        const width = data.length / (rows.length * longest);
        const from = index * longest * width;
        return Float32Array.from(data.subarray(from, from + row.tokens.length * width));
      });
      share = row.share;
      if (shard.bytes >= shardBytes) await close(false, row.next);
    }
    const tokens = manifest.tokens + shard.tokens;
    onProgress?.({
      tokens,
      fresh: tokens - before,
      share: Math.max(share, limit < Number.MAX_SAFE_INTEGER ? tokens / limit : 0),
    });
  };
  let end: CorpusPlace = manifest.next;
  const { tokens: done, next: start } = manifest;
  for await (const batch of corpusBatches(corpus, { start, done, limit, length, batchTokens })) {
    signal?.throwIfAborted();
    await flush(batch);
    end = batch.rows.at(-1)?.next ?? end;
  }
  share = 1;
  await close(true, end);
  return manifest;
}

/** Sizes of a site behind batch and position. @throws CircuitscopeError `bad_site` */
function perToken({ graph }: Engine, site: Site): number[] {
  const { shape } = findSite(graph, site);
  const [, position, ...rest] = shape;
  const sizes = rest.filter((size) => typeof size === 'number');
  if (position === 'pos' && sizes.length === rest.length) return sizes;
  throw new CircuitscopeError(
    'bad_site',
    `${site} has no value of its own for each token ([${shape.join(', ')}]), so that it cannot be captured over a corpus; run a prompt instead.`,
    { at: site, got: shape.join(', ') },
  );
}

/** Rows that wait to be written. */
class Shard {
  readonly #sites: readonly { readonly site: Site; readonly shape: readonly number[] }[];
  #values: Float32Array[][] = [];
  #tokens: number[] = [];
  #documents: number[] = [];
  #positions: number[] = [];
  bytes = 0;

  constructor(sites: readonly { readonly site: Site; readonly shape: readonly number[] }[]) {
    this.#sites = sites;
    this.clear();
  }

  get tokens(): number {
    return this.#tokens.length;
  }

  clear(): void {
    this.#values = this.#sites.map(() => []);
    this.#tokens = [];
    this.#documents = [];
    this.#positions = [];
    this.bytes = 0;
  }

  add({ tokens, document, from }: CorpusRow, values: (site: number) => Float32Array): void {
    tokens.forEach((id, at) => {
      this.#tokens.push(id);
      this.#documents.push(document);
      this.#positions.push(from + at);
    });
    this.bytes += 12 * tokens.length;
    this.#sites.forEach((_, site) => {
      const data = values(site);
      this.#values[site]?.push(data);
      this.bytes += data.byteLength;
    });
  }

  tensors(): TensorToWrite[] {
    const n = this.tokens;
    const ids = (name: string, data: readonly number[]) => ({
      name,
      dtype: 'i32' as const,
      shape: [n],
      data: Int32Array.from(data),
    });
    return [
      ids('tokens', this.#tokens),
      ids('document', this.#documents),
      ids('position', this.#positions),
      ...this.#sites.map(({ site, shape }, at) => ({
        name: site,
        dtype: 'f32' as const,
        shape: [n, ...shape],
        data: () => joined(this.#values[at] ?? []),
      })),
    ];
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
