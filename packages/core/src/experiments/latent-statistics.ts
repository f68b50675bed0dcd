import { mkdirSync } from 'node:fs';
import {
  CircuitscopeError,
  type Hash,
  type LatentStatistics as Manifest,
  type Readout,
  type Site,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import {
  type Dictionary,
  type LatentStatistics,
  latentEdges,
  latentReader,
  readSite,
  type StatisticsProgram,
  statisticsProgram,
  type TokenPlace,
} from '../dictionaries/index.ts';
import { findSite, GraphRewrite } from '../graph/index.ts';
import {
  captured,
  type Engine,
  type LatentReader,
  type LatentRows,
  latentRows,
  makePlan,
  type Prompt,
  type RunOptions,
  runPlan,
} from '../plan/index.ts';
import { addLatentReadout } from '../plan/latent-readout.ts';
import type { Bos, Corpus } from '../tokens/index.ts';
import { type CorpusBatch, corpusBatches, requireContext } from './corpus-batches.ts';
import { openStatistics, saveStatistics } from './latent-statistics-folder.ts';
import { numericsVersion } from './versions.ts';

// A corpus through a model and a dictionary in one pass: of each token at most the active latents are ever held, and none where
// they are counted as they are made; of each latent only its statistics. What comes out depends on corpus and settings alone, never on batches or on where an earlier attempt ended.

export interface LatentStatisticsOptions extends Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'> {
  readonly corpus: Corpus;
  readonly folder: string;
  readonly dictionary: Dictionary;
  /** What it reads; by default the site that it was trained at. */
  readonly at?: Site;
  /** Documents are cut into rows of at most this many tokens, each a context of its own. */
  readonly length: number;
  readonly field: string;
  readonly tokenBytes: 2 | 4;
  readonly bos: Bos;
  /** Stop after this many tokens. */
  readonly limit?: number;
  /** The largest activations of each latent that are kept with their places. */
  readonly examples: number;
  /** Tokens that are read and not counted: those that mark a beginning have activations of their own kind. */
  readonly ignore?: readonly number[];
  /** How many tokens, padding included, are run together. */
  readonly batchTokens?: number;
  /** What was counted is written down after as many tokens. */
  readonly stopTokens?: number;
  readonly onProgress?: (done: { readonly tokens: number; readonly fresh: number; readonly share: number }) => void;
}

export interface CollectedStatistics {
  readonly manifest: Manifest;
  readonly statistics: LatentStatistics;
}

/**
 * Counts what the latents of a dictionary do over a corpus into a folder, or goes on where an earlier call stopped.
 * @throws CircuitscopeError `wrong_statistics` where the folder holds statistics of other settings, `shape_mismatch`,
 *   `unknown_site`, `bad_statistics` for a damaged folder
 */
export async function collectLatentStatistics(
  engine: Engine,
  model: Model,
  options: LatentStatisticsOptions,
): Promise<CollectedStatistics> {
  const { corpus, folder, dictionary, length, examples, ignore = [] } = options;
  const { limit = Number.MAX_SAFE_INTEGER, batchTokens = 4096, stopTokens = 1 << 17, onProgress, signal } = options;
  requireContext(model, length);
  const hash = await dictionary.contentHash();
  const site = siteOf(model, dictionary, options.at);
  const fresh: Manifest = {
    kind: 'latent_statistics',
    version: 1,
    model: await modelRef(model),
    numericsVersion: numericsVersion(engine.executor.info),
    dictionary: { name: dictionary.name, contentHash: hash, latents: dictionary.latents },
    site,
    corpus: {
      file: corpus.file,
      format: corpus.format,
      bytes: corpus.bytes,
      ends: corpus.ends,
      field: options.field,
      tokenBytes: options.tokenBytes,
    },
    length,
    bos: options.bos,
    limit,
    ignore: [...new Set(ignore)].sort((a, b) => a - b),
    examples,
    edges: latentEdges,
    file: null,
    tokens: 0,
    counted: 0,
    active: 0,
    alive: 0,
    documents: 0,
    next: { document: 0, token: 0 },
    complete: false,
    share: 0,
  };
  mkdirSync(folder, { recursive: true });
  const opened = await openStatistics(folder, fresh);
  const { statistics } = opened;
  let { manifest } = opened;
  if (manifest.complete) return { manifest, statistics };
  const before = manifest.tokens;
  const reader = batchReader(engine, { site, hash, dictionary, examples, run: runOptions(options) });
  const ignored = new Set(ignore);
  const { next: start, tokens: done } = manifest;
  let written = done;
  for await (const batch of corpusBatches(corpus, { start, done, limit, length, batchTokens })) {
    signal?.throwIfAborted();
    await reader.count(batch.prompt, placesOf(batch, ignored), statistics);
    const last = batch.rows.at(-1);
    manifest = {
      ...manifest,
      tokens: manifest.tokens + batch.rows.reduce((sum, { tokens }) => sum + tokens.length, 0),
      next: last?.next ?? manifest.next,
      share: last?.share ?? manifest.share,
    };
    if (manifest.tokens - written >= stopTokens) {
      manifest = await saveStatistics(folder, { manifest: withTotals(manifest, statistics), statistics });
      written = manifest.tokens;
    }
    const share = Math.max(manifest.share, limit < Number.MAX_SAFE_INTEGER ? manifest.tokens / limit : 0);
    onProgress?.({ tokens: manifest.tokens, fresh: manifest.tokens - before, share });
  }
  const whole = { ...withTotals(manifest, statistics), complete: true, share: 1 };
  return { manifest: await saveStatistics(folder, { manifest: whole, statistics }), statistics };
}

function withTotals(manifest: Manifest, { counted, counts }: LatentStatistics): Manifest {
  const active = counts.reduce((a, b) => a + b, 0);
  const alive = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  return { ...manifest, counted, active, alive, documents: manifest.next.document };
}

function siteOf(model: Model, { reads, name }: Dictionary, at: Site | undefined): Site {
  const site = at ?? reads;
  if (site !== null) return readSite(model.graph, site);
  throw new CircuitscopeError('bad_option', `${name} does not say which site it reads; name one.`, { at: name });
}

function runOptions({ signal, threads, memoryBytes }: LatentStatisticsOptions): RunOptions {
  return {
    ...(signal ? { signal } : {}),
    ...(threads ? { threads } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
  };
}

function placesOf({ rows, longest }: CorpusBatch, ignored: ReadonlySet<number>) {
  return rows.flatMap(({ tokens, document, from }) =>
    Array.from({ length: longest }, (_, at) => {
      const token = tokens[at];
      return token === undefined || ignored.has(token) ? null : { document, position: from + at };
    }),
  );
}

interface BatchSettings {
  readonly site: Site;
  readonly hash: Hash;
  readonly dictionary: Dictionary;
  readonly examples: number;
  readonly run: RunOptions;
}

interface BatchReader {
  /** Takes a batch into statistics. */
  count(prompt: Prompt, places: readonly (TokenPlace | null)[], statistics: LatentStatistics): Promise<void>;
}

/** Counts where the values are made, for every dictionary of which a token's latents do not depend on each other. */
function batchReader(engine: Engine, settings: BatchSettings): BatchReader {
  const { site, hash, dictionary, examples } = settings;
  // What a readout of these latents would refuse is refused in its words.
  const dictionaries = new Map([[hash, latentReader(dictionary)]]);
  const readout = { kind: 'latents', at: { site }, dictionary: hash, keep: { kind: 'above' } } as const;
  addLatentReadout(new GraphRewrite(engine.graph), readout, { dictionaries, sweeps: false });
  const inner = findSite(engine.graph, site).shape.slice(2).map(Number);
  const counting = statisticsProgram(dictionary, inner, Math.max(examples, 1));
  return counting ? countingReader(engine, settings, counting) : new RowReader(engine, settings);
}

function countingReader(
  engine: Engine,
  { site, run }: BatchSettings,
  { program, weights }: StatisticsProgram,
): BatchReader {
  const plan = makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site } }] });
  return {
    async count(prompt, places, statistics) {
      const { shape, data: x } = captured(await runPlan(engine, plan, prompt, run), site);
      const [batch = 0, pos = 0] = shape;
      const inputs = {
        x,
        counted: Int32Array.from(places, (place) => (place ? 1 : 0)),
        before: statistics.sums,
      };
      const out = await engine.executor.execute(program, weights, { sizes: { batch, pos }, inputs }, run);
      const { sums, counts, values, rows } = out;
      if (!(sums instanceof Float64Array) || !(counts instanceof Int32Array) || !(rows instanceof Int32Array))
        throw new Error('no statistics');
      if (!values || values instanceof Int32Array) throw new Error('no examples');
      statistics.addCounted({ sums, counts, values, rows }, places);
    },
  };
}

/** Reads batches with room for as many latents as the batches so far needed: more is asked for only where it is. */
class RowReader implements BatchReader {
  readonly #engine: Engine;
  readonly #settings: BatchSettings;
  readonly #dictionaries: ReadonlyMap<Hash, LatentReader>;
  #perToken: number;

  constructor(engine: Engine, settings: BatchSettings) {
    this.#engine = engine;
    this.#settings = settings;
    this.#dictionaries = new Map([[settings.hash, latentReader(settings.dictionary)]]);
    this.#perToken = Math.min(256, settings.dictionary.latents);
  }

  async count(prompt: Prompt, places: readonly (TokenPlace | null)[], statistics: LatentStatistics): Promise<void> {
    statistics.add(await this.#read(prompt), places);
  }

  async #read(prompt: Prompt): Promise<LatentRows> {
    const { site, hash, dictionary, run } = this.#settings;
    for (;;) {
      const keep = { kind: 'above', perToken: this.#perToken } as const;
      const readout: Readout = { kind: 'latents', at: { site }, dictionary: hash, keep };
      const plan = makePlan(this.#engine.graph, { readouts: [readout] });
      try {
        return latentRows(await runPlan(this.#engine, plan, prompt, { ...run, dictionaries: this.#dictionaries }), 0);
      } catch (error) {
        const full = error instanceof CircuitscopeError && error.code === 'capacity';
        if (!full || this.#perToken >= dictionary.latents) throw error;
        this.#perToken = Math.min(2 * this.#perToken, dictionary.latents);
      }
    }
  }
}
