import { resolve } from 'node:path';
import { type Model, modelRef } from '@circuitscope/core/architectures';
import {
  ablateLatent,
  type CrossLayerTranscoder,
  type Dictionary,
  type LatentAblation,
  type LatentReading,
  openDictionary,
  readLatents,
  replaceMlp,
  spliceCrossLayer,
  spliceDictionary,
} from '@circuitscope/core/dictionaries';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import type { Io } from '../../io.ts';
import { integer, required, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor, table } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';
import { bos, bosUsed, promptFrom, tokenizer, tokens } from '../model/prompt-options.ts';

export const latents = command({
  summary: 'which latents of a sparse dictionary are active on a prompt',
  details:
    'Splices the dictionary into the model, its error kept, so the model computes what it always does. Prints the most active latents of each position, how many are active, and the share of the variance at the site that the reconstruction misses. With --ablate, sets one latent to zero at every position and prints what that does to the logit of an answer at the last position. Reads directories of SAELens, and cross-layer transcoders of circuit-tracer, which need --at blocks.L.hook_mlp_out to say which layer is meant.',
  options: {
    model: modelOption,
    dictionary: required(text('DIR', 'cfg.json and sae_weights.safetensors, or config.yaml and W_enc_0.safetensors')),
    at: text('SITE', 'the site that it reconstructs; by default the one that it was trained at'),
    tokens,
    text: text('TEXT', 'text instead of token ids'),
    tokenizer,
    bos,
    top: withDefault(integer('K', 'latents of each position', { min: 1, max: 1000 }), 5),
    ablate: integer('N', 'a latent that is set to zero'),
    answer: integer('ID', 'the token whose logit --ablate watches (default: the most likely one)'),
    threads: shared.threads,
  },
  examples: [
    {
      line: "circuitscope features latents --model ./gpt2 --dictionary ./gpt2-layer-8 --text 'When Mary and John'",
      about: 'the five most active latents of each token',
    },
    {
      line: "circuitscope features latents --model ./gpt2 --dictionary ./gpt2-layer-8 --tokens '[[1,2,3]]' --ablate 417 --answer 262",
      about: 'what latent 417 does for the token 262',
    },
  ],
  run: async (options, io) => {
    if (options.answer !== undefined && options.ablate === undefined) {
      throw new CircuitscopeError(
        'bad_option',
        '--answer is the token that --ablate watches; add --ablate N, or leave it out.',
        { at: '--answer' },
      );
    }
    const { model, source } = await openSource(options.model, io);
    const prompt = promptFrom(options, model, options.model, io);
    const dictionary = openDictionary(resolve(io.cwd, options.dictionary));
    const { spliced, at } = splice(model, dictionary, options.at);
    const engine = await chooseEngine(spliced, io);
    using bar = progress(io, 'reading latents');
    const run = { ...runSettings(options, io), onProgress: (share: number) => bar.update(share) };
    const reading = await readLatents(engine, prompt, { at, top: options.top, run });
    const ablation =
      options.ablate === undefined
        ? null
        : await ablateLatent(engine, prompt, {
            at,
            latent: options.ablate,
            run,
            ...(options.answer === undefined ? {} : { answer: options.answer }),
          });
    bar.end();
    const document = {
      kind: 'dictionary_latents',
      version: 1,
      model: { ...(await modelRef(model)), source },
      executor: executorDocument(engine),
      bos: bosUsed(options),
      dictionary: {
        source: dictionary.name,
        contentHash: await dictionary.contentHash(),
        latents: countOf(dictionary),
      },
      site: at,
      tokens: prompt.tokens,
      reading,
      ablation,
    };
    print(io, options, documentOf(document), () =>
      [
        latentsText(reading, prompt.tokens, io),
        summary(reading, at),
        ...(ablation ? ['', ablationText(ablation, io)] : []),
      ].join('\n'),
    );
  },
});

/** The model with the dictionary in it, and the site whose names its values have. */
function splice(
  model: Model,
  dictionary: Dictionary | CrossLayerTranscoder,
  site: string | undefined,
): { readonly spliced: Model; readonly at: string } {
  if (dictionary.kind === 'crossLayer') {
    const layer = /^blocks\.(\d{1,4})\.hook_mlp_out$/.exec(site ?? '')?.[1];
    if (site === undefined || layer === undefined || Number(layer) >= dictionary.layers) {
      throw new CircuitscopeError(
        'bad_option',
        `A cross-layer transcoder has latents in every layer; say which: --at blocks.L.hook_mlp_out, L below ${dictionary.layers}.`,
        { at: '--at', expected: 'blocks.L.hook_mlp_out', got: site ?? 'nothing' },
      );
    }
    return { spliced: spliceCrossLayer(model, { transcoder: dictionary, error: 'keep' }), at: site };
  }
  if (!dictionary.transcoder) {
    const at = site ?? dictionary.reads ?? undefined;
    const spliced = spliceDictionary(model, { dictionary, error: 'keep', ...(at === undefined ? {} : { at }) });
    return { spliced, at: at ?? '' };
  }
  const written = /^blocks\.(\d{1,4})\.hook_mlp_out$/.exec(site ?? '')?.[1];
  const trained = /^blocks\.(\d{1,4})\./.exec(dictionary.reads ?? dictionary.writes ?? '')?.[1];
  const layer = site === undefined ? trained : written;
  if (layer === undefined) {
    throw new CircuitscopeError(
      'bad_option',
      'A transcoder computes the output of an MLP; say which: --at blocks.L.hook_mlp_out.',
      { at: '--at', expected: 'blocks.L.hook_mlp_out', got: site ?? 'nothing' },
    );
  }
  const spliced = replaceMlp(model, { transcoder: dictionary, layer: Number(layer), error: 'keep' });
  return { spliced, at: `blocks.${Number(layer)}.hook_mlp_out` };
}

function countOf(dictionary: Dictionary | CrossLayerTranscoder): number {
  return dictionary.kind === 'dictionary' ? dictionary.latents : dictionary.latents.reduce((a, b) => a + b, 0);
}

const right = (title: string) => ({ title, align: 'right' as const });

function latentsText(reading: LatentReading, prompts: readonly (readonly number[])[], io: Io): string {
  const rows = reading.positions.map(({ example, position, active, top }) => [
    String(example),
    String(position),
    String(prompts[example]?.[position] ?? ''),
    String(active),
    top.map(({ latent, value }) => `${latent} (${numbers.number(value, 3)})`).join('  '),
  ]);
  const columns = [
    right('example'),
    right('position'),
    right('token'),
    right('active'),
    { title: 'latent (activation)' },
  ];
  return table(columns, rows, styleFor(io));
}

function summary({ l0, unexplained }: LatentReading, at: string): string {
  const missed =
    unexplained === null ? 'all positions are equal' : `${numbers.number(unexplained, 3)} of the variance unexplained`;
  return `${at}: ${numbers.fixed(l0, 1)} latents active on average, ${missed}\n`;
}

function ablationText({ latent, examples }: LatentAblation, io: Io): string {
  const rows = examples.map(({ answer, before, after }, example) => [
    String(example),
    String(answer),
    numbers.fixed(before),
    numbers.fixed(after),
    numbers.fixed(after - before),
  ]);
  const columns = [right('example'), right('answer'), right('logit'), right(`without ${latent}`), right('change')];
  return table(columns, rows, styleFor(io));
}
