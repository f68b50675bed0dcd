import { statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { requireDecoder } from '@circuitscope/core/architectures';
import { latentReader, openDictionary } from '@circuitscope/core/dictionaries';
import { listSites } from '@circuitscope/core/graph';
import { type LatentReader, makePlan } from '@circuitscope/core/plan';
import { CircuitscopeError, type Hash, type Readout } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { choice, flagOf, integer, list, required, shared, text } from '../../options/index.ts';
import { byLayer, numbers, print, progress, styleFor, table } from '../../output/index.ts';
import { outPath } from '../../output/write-once.ts';
import { configOption, imageOptions, modelOption, resolveDecoder, resolveModel } from '../../resolve-model.ts';
import { viewed, viewOption } from '../../view-option.ts';
import {
  bos,
  bosUsed,
  mask,
  offsetsRead,
  promptFrom,
  promptParts,
  tokenizer,
  tokens,
  vocabularyOf,
} from './prompt-options.ts';
import { promptOfImages } from './read-images.ts';
import { readPlan } from './read-plan.ts';
import { runCorpus } from './run-corpus.ts';
import { writeReadouts } from './write-readouts.ts';

export const run = command({
  summary: 'run a model and keep what its sites held',
  details:
    'Writes one safetensors file: each captured site under its own name, other readouts of a plan as logit_diff, loss, project, top_k.values and top_k.indices. Shapes begin with [batch], and with [variant, batch] when the plan has a sweep. The file appears whole or not at all.\n\nWith --corpus, sites are captured over all of its documents into a folder: files of bounded size with tokens, document, position and a row a token for every site, and manifest.json. What was stopped goes on when the same command is given again, and ends with the same bytes.',
  options: {
    model: modelOption,
    config: configOption,
    view: viewOption,
    tokens,
    text: text('TEXT', 'text instead of token ids'),
    capture: list('all|SITE,…', 'sites to keep; `circuitscope model sites` lists them'),
    plan: text('FILE.json', 'a plan with interventions and readouts; --capture adds to its readouts'),
    dictionary: list('DIR,…', 'dictionaries that the plan reads latents through, in any order'),
    out: required(text('FILE.safetensors|DIR', 'where to write; a folder for a corpus')),
    corpus: text(
      'FILE',
      'instead of a prompt: .txt or .jsonl with a document a line, .parquet, or ids in .npy or .bin',
    ),
    field: text('NAME', 'what holds text or ids in JSON lines and Parquet (default: text)'),
    length: integer('N', 'cut documents of a corpus into rows of N tokens (default: 128)', { min: 1 }),
    limit: integer('N', 'stop after N tokens of a corpus', { min: 1 }),
    tokenBytes: choice(['2', '4'] as const, 'bytes of an id in a .bin corpus (default: 2)'),
    shardMegabytes: integer('N', 'close a file of a corpus at N MiB (default: 256)', { min: 1, max: 65_536 }),
    mask,
    ...promptParts,
    tokenizer,
    bos,
    threads: shared.threads,
    force: shared.force,
  },
  examples: [
    {
      line: "circuitscope model run --model ./gpt2 --tokens '[[1,2,3]]' --capture all --out sites.safetensors",
      about: 'every site of one example',
    },
    {
      line: "circuitscope model run --model ./gpt2 --text 'When Mary and John' --capture logits,blocks.0.attn.hook_pattern --out some.safetensors",
      about: 'two sites of a text',
    },
    {
      line: 'circuitscope model run --model ./gpt2 --corpus openwebtext.parquet --capture blocks.6.hook_resid_post --out captures --limit 1000000',
      about: 'a million tokens for a dictionary to be trained on',
    },
    {
      line: "circuitscope model run --model ./t5 --tokens '[[5,9,1]]' --decoder-tokens '[[0]]' --capture all --out t5.safetensors",
      about: 'an encoder-decoder, both texts given',
    },
    {
      line: 'circuitscope model run --model ./resnet --images photos.npy --capture logits --out classes.safetensors',
      about: 'a net that looks at images',
    },
    {
      line: 'circuitscope model run --model mnist.pt --config mnist.json --images digits.npy --capture all --out sites.safetensors',
      about: 'weights alone, whose layers were written down',
    },
    {
      line: "circuitscope model run --model ./gpt2 --tokens '[[1,2,3]]' --plan ablate.json --out effect.safetensors",
      about: 'an experiment that was written down before',
    },
  ],
  run: async (options, io) => {
    const { corpus } = options;
    requireFitting(options);
    if (corpus !== undefined) {
      const model = viewed(
        await resolveDecoder(options.model, io, imageOptions({ config: options.config }, io)),
        options.view,
      );
      await runCorpus(model, { ...options, corpus }, io);
      return;
    }
    const out = outPath(options.out, options.force, io);
    const looked = options.images === undefined ? null : promptOfImages(options, resolve(io.cwd, options.images));
    const given = await resolveModel(options.model, io, imageOptions({ ...options, size: looked?.size }, io));
    const model = options.view === 'raw' ? given : viewed(requireDecoder(given), options.view);
    const vocabulary = looked ? null : vocabularyOf(options, options.model, io);
    const prompt = looked?.prompt ?? promptFrom({ ...options, vocabulary }, model, options.model, io);
    const written = options.plan === undefined ? null : readPlan(resolve(io.cwd, options.plan));
    const captures = (options.capture ?? []).flatMap((site): string[] =>
      site === 'all' ? listSites(model.graph).map((entry) => entry.site) : [site],
    );
    const readouts: Readout[] = [
      ...(written?.readouts ?? []),
      ...[...new Set(captures)].map((site): Readout => ({ kind: 'capture', at: { site } })),
    ];
    if (readouts.length === 0) {
      throw new CircuitscopeError(
        'bad_option',
        'Nothing is asked for: add --capture all, --capture SITE,… or --plan FILE.json.',
        { at: '--capture' },
      );
    }
    const plan = written ? { ...written, readouts } : makePlan(model.graph, { readouts });
    const engine = await chooseEngine(model, io);

    using bar = progress(io, 'running');
    // A single site can be large; half of the machine is what one run may take.
    const memoryBytes = Math.max(1 << 30, totalmem() / 2);
    const dictionaries = await readersOf((options.dictionary ?? []).map((path) => resolve(io.cwd, path)));
    const settings = {
      signal: io.signal,
      memoryBytes,
      dictionaries,
      ...(options.threads ? { threads: options.threads } : {}),
    };
    const entries = await writeReadouts({
      engine,
      plan,
      prompt,
      out,
      settings,
      onProgress: (share, what) => bar.update(share, what),
    });
    bar.end();

    const bytes = statSync(out).size;
    const document = {
      kind: 'model_run',
      version: 1,
      model: { name: model.name, contentHash: await model.checkpoint.contentHash(), view: options.view },
      executor: executorDocument(engine),
      bos: looked ? null : bosUsed(options),
      tokens: looked ? null : prompt.tokens,
      offsets: offsetsRead(vocabulary, options),
      out,
      bytes,
      tensors: entries.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] })),
    };
    print(io, options, document, () => {
      const rows = byLayer(entries, ({ shape }) => shape.join()).map(({ name, entry }) => [
        name,
        `[${entry.shape.join(', ')}]`,
      ]);
      const summary = `${entries.length} tensors, ${numbers.bytes(bytes)}, in ${options.out}`;
      return `${table([{ title: 'tensor' }, { title: 'shape' }], rows, styleFor(io))}\n${summary}\n`;
    });
  },
});

const forCorpus = ['field', 'length', 'limit', 'tokenBytes', 'shardMegabytes'] as const;
const forPrompt = [
  'tokens',
  'text',
  'mask',
  'plan',
  'dictionary',
  'decoderTokens',
  'tokenTypeIds',
  'positionIds',
  'images',
] as const;

/** An option that would do nothing is a mistake. */
function requireFitting(
  options: {
    readonly [K in (typeof forCorpus)[number] | (typeof forPrompt)[number] | 'corpus' | 'force']: unknown;
  },
): void {
  const refuse = (option: string, sentence: string): never => {
    throw new CircuitscopeError('bad_option', sentence, { at: option });
  };
  const surplus = (options.corpus === undefined ? forCorpus : forPrompt).find((name) => options[name] !== undefined);
  if (surplus !== undefined) {
    const what = options.corpus === undefined ? 'needs --corpus' : 'belongs to a prompt, not to --corpus';
    refuse(flagOf(surplus), `${flagOf(surplus)} ${what}; leave it out.`);
  }
  if (options.corpus !== undefined && options.force === true) {
    refuse(
      '--force',
      'A capture of a corpus is gone on with, never overwritten; name an empty folder instead of --force.',
    );
  }
}

/** Dictionaries by the hash that a plan calls them. */
async function readersOf(paths: readonly string[]): Promise<ReadonlyMap<Hash, LatentReader>> {
  const readers = new Map<Hash, LatentReader>();
  for (const path of paths) {
    const dictionary = openDictionary(path);
    if (dictionary.kind !== 'dictionary') {
      throw new CircuitscopeError(
        'bad_option',
        `${path} is a cross-layer transcoder, which reads every layer; a plan reads latents of one site.`,
        { at: '--dictionary', expected: 'an autoencoder or a transcoder', got: dictionary.kind },
      );
    }
    readers.set(await dictionary.contentHash(), latentReader(dictionary));
  }
  return readers;
}
