import { resolve } from 'node:path';
import { captureCorpus } from '@circuitscope/core';
import type { Model } from '@circuitscope/core/architectures';
import { type Bos, openCorpus } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine } from '../../choose-engine.ts';
import { documentOf } from '../../examine/document-of.ts';
import { runSettings } from '../../examine/open-source.ts';
import type { Io } from '../../io.ts';
import { numbers, print, progress, properties } from '../../output/index.ts';
import { tokenizerBeside } from './token-words.ts';

export interface CorpusOptions {
  readonly model: string;
  readonly corpus: string;
  readonly capture: readonly string[] | undefined;
  readonly out: string;
  readonly field: string | undefined;
  readonly length: number | undefined;
  readonly tokenBytes: '2' | '4' | undefined;
  readonly limit: number | undefined;
  readonly shardMegabytes: number | undefined;
  readonly bos: Bos;
  readonly tokenizer: string | undefined;
  readonly threads: number | undefined;
  readonly json: boolean;
}

/** Rows are no longer than this where nothing is said: attention costs grow with the square. */
const LENGTH = 128;

export async function runCorpus(model: Model, options: CorpusOptions, io: Io): Promise<void> {
  const sites = options.capture ?? [];
  if (sites.length === 0 || sites.includes('all')) {
    throw new CircuitscopeError(
      'bad_option',
      'A corpus is captured at sites that are named: --capture blocks.0.hook_resid_post,….',
      { at: '--capture' },
    );
  }
  const { field = 'text', bos, limit } = options;
  const length = options.length ?? Math.min(LENGTH, model.spec.context);
  const tokenBytes = options.tokenBytes === '4' ? 4 : 2;
  const tokenizer = tokenizerBeside(options.tokenizer, options.model, io);
  const corpus = openCorpus(resolve(io.cwd, options.corpus), {
    tokenizer,
    field,
    tokenBytes,
    length,
    bos,
    vocab: model.spec.vocab,
  });
  const engine = await chooseEngine(model, io);
  const start = performance.now();
  using bar = progress(io, 'capturing');
  let fresh = 0;
  let first: { readonly share: number; readonly at: number } | null = null;
  const manifest = await captureCorpus(engine, model, {
    corpus,
    folder: resolve(io.cwd, options.out),
    sites,
    length,
    field,
    tokenBytes,
    bos,
    ...runSettings(options, io),
    ...(limit === undefined ? {} : { limit }),
    ...(options.shardMegabytes === undefined ? {} : { shardBytes: options.shardMegabytes * 2 ** 20 }),
    onProgress: (done) => {
      const now = performance.now();
      first ??= { share: done.share, at: now };
      fresh = done.fresh;
      const gained = done.share - first.share;
      const left = gained > 0 ? ((1 - done.share) * (now - first.at)) / gained : null;
      const rate = numbers.count(Math.round((1000 * fresh) / Math.max(now - start, 1)));
      const time = left === null ? '' : `, ${numbers.duration(left)} left`;
      bar.update(done.share, `${numbers.count(done.tokens)} tokens, ${rate} tokens/s${time}`);
    },
  });
  bar.end();
  const wallTimeMs = performance.now() - start;
  print(io, options, documentOf(manifest), () => {
    const bytes = manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0);
    return properties([
      ['tokens', `${numbers.count(manifest.tokens)} of ${numbers.count(manifest.documents)} documents`],
      ['sites', sites.join(', ')],
      ['files', `${manifest.shards.length}, ${numbers.bytes(bytes)}, and manifest.json, in ${options.out}`],
      ['this time', `${numbers.count(fresh)} tokens in ${numbers.duration(wallTimeMs)}`],
    ]);
  });
}
