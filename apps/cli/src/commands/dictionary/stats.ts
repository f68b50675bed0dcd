import { resolve } from 'node:path';
import { type CollectedStatistics, collectLatentStatistics } from '@circuitscope/core';
import { type Dictionary, type LatentSummary, openDictionary } from '@circuitscope/core/dictionaries';
import { openCorpus } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { runSettings } from '../../examine/open-source.ts';
import type { Io } from '../../io.ts';
import { choice, integer, list, required, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, properties, styleFor, table } from '../../output/index.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';
import { bos, tokenizer } from '../model/prompt-options.ts';
import { tokenId, tokenizerBeside } from '../model/token-words.ts';

/** Rows are no longer than this where nothing is said: attention costs grow with the square. */
const LENGTH = 128;

export const stats = command({
  summary: 'how often each latent of a dictionary is active over a corpus, and where most',
  details:
    'Streams a corpus through the model and reads a site through the dictionary: for each latent how many tokens it is active at, the sum, the sum of squares and the largest of its activations, a histogram in powers of two, and its largest activations with document and position. Memory does not grow with the corpus. Writes a folder with manifest.json and one safetensors file in float64; interrupted, it goes on where it stopped, and ends with the same bytes. Prints the latents that are active most often.',
  options: {
    model: modelOption,
    dictionary: required(text('DIR', 'cfg.json and sae_weights.safetensors of SAELens')),
    at: text('SITE', 'the site that it reads; by default the one that it was trained at'),
    corpus: required(text('FILE', '.txt or .jsonl with a document a line, .parquet, or ids in .npy or .bin')),
    out: required(text('DIR', 'where to write, and to go on from')),
    field: withDefault(text('NAME', 'what holds text or ids in JSON lines and Parquet'), 'text'),
    length: integer('N', `cut documents into rows of N tokens (default: ${LENGTH})`, { min: 1 }),
    limit: integer('N', 'stop after N tokens', { min: 1 }),
    tokenBytes: withDefault(choice(['2', '4'] as const, 'bytes of an id in a .bin corpus'), '2'),
    examples: withDefault(integer('N', 'largest activations to keep of each latent', { min: 1, max: 1000 }), 10),
    ignore: list('TOKEN,…', 'tokens, or their ids, that are read and not counted'),
    top: withDefault(integer('K', 'latents to print', { min: 1, max: 1000 }), 10),
    tokenizer,
    bos,
    threads: shared.threads,
  },
  examples: [
    {
      line: 'circuitscope dictionary stats --model ./gpt2 --dictionary ./gpt2-layer-8 --corpus texts.jsonl --out ./stats-layer-8',
      about: 'every latent over a corpus',
    },
    {
      line: 'circuitscope dictionary stats --model ./gpt2 --dictionary ./gpt2-layer-8 --corpus ids.npy --limit 1000000 --ignore 50256 --out ./stats',
      about: 'over a million tokens, without the one that marks beginnings',
    },
  ],
  run: async (options, io) => {
    const model = await resolveDecoder(options.model, io);
    const path = resolve(io.cwd, options.dictionary);
    const dictionary = requireOne(openDictionary(path), options.dictionary);
    const words = tokenizerBeside(options.tokenizer, options.model, io);
    const length = options.length ?? Math.min(LENGTH, model.spec.context);
    const tokenBytes = options.tokenBytes === '4' ? 4 : 2;
    const { field } = options;
    const settings = { field, tokenBytes, length, bos: options.bos } as const;
    const corpus = openCorpus(resolve(io.cwd, options.corpus), {
      tokenizer: words,
      ...settings,
      vocab: model.spec.vocab,
    });
    const engine = await chooseEngine(model, io);
    const start = performance.now();
    using bar = progress(io, 'counting');
    let fresh = 0;
    let first: { readonly share: number; readonly at: number } | null = null;
    const collected = await collectLatentStatistics(engine, model, {
      corpus,
      folder: resolve(io.cwd, options.out),
      dictionary,
      ...settings,
      examples: options.examples,
      ignore: (options.ignore ?? []).map((token) => tokenId(token, words, '--ignore')),
      ...runSettings(options, io),
      ...(options.at === undefined ? {} : { at: options.at }),
      ...(options.limit === undefined ? {} : { limit: options.limit }),
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
    const top = mostActive(collected, options.top);
    const { manifest } = collected;
    const document = { kind: 'dictionary_stats', version: 1, out: options.out, statistics: manifest, top };
    print(io, options, documentOf(document), () => {
      const l0 = manifest.counted === 0 ? 0 : manifest.active / manifest.counted;
      const { latents } = manifest.dictionary;
      const about = properties([
        ['tokens', `${numbers.count(manifest.counted)} counted of ${numbers.count(manifest.tokens)}`],
        ['site', manifest.site],
        ['active', `${numbers.fixed(l0, 1)} latents a token`],
        ['latents', `${numbers.count(latents)}, ${numbers.count(latents - manifest.alive)} of them never active`],
        ['this time', `${numbers.count(fresh)} tokens in ${numbers.duration(wallTimeMs)}`],
        ['files', `manifest.json and ${manifest.file?.file ?? 'nothing'}, in ${options.out}`],
      ]);
      return `${about}\n${topTable(top, io)}`;
    });
  },
});

function requireOne(dictionary: ReturnType<typeof openDictionary>, path: string): Dictionary {
  if (dictionary.kind === 'dictionary') return dictionary;
  throw new CircuitscopeError(
    'bad_option',
    `${path} is a cross-layer transcoder, which reads every layer; statistics are of one site.`,
    { at: '--dictionary', expected: 'an autoencoder or a transcoder', got: dictionary.kind },
  );
}

/** By count, then by index. */
function mostActive({ statistics }: CollectedStatistics, top: number): LatentSummary[] {
  const { counts } = statistics;
  return Array.from(counts.keys())
    .filter((latent) => (counts[latent] ?? 0) > 0)
    .sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b)
    .slice(0, top)
    .map((latent) => statistics.summary(latent));
}

function topTable(top: readonly LatentSummary[], io: Io): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const rows = top.map(({ latent, count, frequency, mean, max, examples }) => [
    String(latent),
    numbers.count(count),
    numbers.number(frequency, 3),
    numbers.number(mean ?? 0, 3),
    numbers.number(max ?? 0, 3),
    examples
      .slice(0, 3)
      .map(({ document, position }) => `${document}:${position}`)
      .join('  '),
  ]);
  const columns = [
    right('latent'),
    right('tokens'),
    right('share'),
    right('mean'),
    right('largest'),
    { title: 'document:position' },
  ];
  return table(columns, rows, styleFor(io));
}
