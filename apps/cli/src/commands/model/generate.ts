import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type EncoderDecoderModel,
  endTokens,
  isEncoderDecoder,
  type Model,
  requireDecoder,
} from '@circuitscope/core/architectures';
import { requirePlanOf } from '@circuitscope/core/plan';
import {
  generateTogether,
  type Llama2cTokenizer,
  type PromptReader,
  readPrompt,
  type Tokenizer,
} from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import type { Io } from '../../io.ts';
import { flag, integer, real, shared, text, withDefault } from '../../options/index.ts';
import { print, progress } from '../../output/index.ts';
import { modelOption, resolveModel } from '../../resolve-model.ts';
import { bos, bosUsed, promptFrom, promptParts, tokenizer, tokenizerFor, tokens } from './prompt-options.ts';
import { readPlan } from './read-plan.ts';

export const generate = command({
  summary: 'continue a text, token by token',
  details:
    'Keys and values of earlier tokens are kept, so a new token costs one pass over itself; --no-cache runs the whole text for each, to the same bits. Generation ends after --steps tokens, at the token that ends a text, or where the context is full. The text goes to stdout byte for byte as it is drawn; with --tokens and no tokenizer, ids do.\n\nSeveral texts, those of --prompts and --count samples of each, run side by side: shorter ones are padded, and each gets the tokens that it gets alone. They are printed when all have ended, each behind a line that names it. Changes of a --plan act on every token, as far as their scopes say.\n\nAn encoder-decoder (T5) reads the prompt with its encoder, once, and writes its answer with its decoder, which begins with the token of its config or with --decoder-tokens; only the answer is written.',
  options: {
    model: modelOption,
    prompt: text('TEXT', 'text to continue (default: the beginning of a text)'),
    prompts: text('FILE', 'several texts: a line each, or .jsonl with {"prompt": TEXT} a line'),
    tokens,
    decoderTokens: promptParts.decoderTokens,
    count: withDefault(integer('N', 'samples of each text, with draws of their own', { min: 1, max: 4096 }), 1),
    plan: text('FILE.json', 'a plan whose interventions change the model while it writes'),
    steps: withDefault(integer('N', 'how many tokens to add, at most', { max: 1 << 20 }), 64),
    temperature: withDefault(real('T', '0 takes the most likely token; above, tokens are drawn', { min: 0 }), 0),
    topK: integer('K', 'draw from the K most likely tokens', { min: 1 }),
    topP: real('P', 'draw from the likeliest tokens whose probabilities reach this sum', { min: 0.000001, max: 1 }),
    seed: shared.seed,
    noCache: flag('run the whole text for every token (slow; the same text)'),
    tokenizer,
    bos,
    threads: shared.threads,
  },
  examples: [
    {
      line: 'circuitscope model generate --model stories260K.bin --steps 200',
      about: 'the greedy story of a llama2.c model; the tokenizer is found beside it',
    },
    {
      line: "circuitscope model generate --model ./gpt2 --prompt 'The capital of France' --temperature 0.8 --seed 1",
      about: 'drawn, and the same for the same seed',
    },
    {
      line: 'circuitscope model generate --model ./gpt2 --prompts prompts.txt --count 4 --temperature 1 --plan ablate.json --json',
      about: 'four samples of each line while heads are ablated, as one document',
    },
  ],
  run: async (options, io) => {
    const model = await resolveWriter(options.model, io);
    const ways = [options.prompt, options.prompts, options.tokens].filter((one) => one !== undefined);
    if (ways.length > 1)
      throw new CircuitscopeError('bad_option', 'Give one of --prompt, --prompts and --tokens.', { at: '--prompt' });
    const vocabulary =
      options.tokens === undefined || options.tokenizer !== undefined
        ? tokenizerFor(options.tokenizer, options.model, io)
        : null;
    const texts = options.prompts === undefined ? [options.prompt ?? ''] : readPrompts(options.prompts, io);
    const reader: PromptReader = { tokenizer: vocabulary, vocab: model.spec.vocab, bos: options.bos };
    const rows =
      options.tokens === undefined
        ? texts.map((one) => readPrompt(reader, one))
        : promptFrom({ ...options, text: undefined }, model, options.model, io).tokens;
    const sampled = (of: readonly (readonly number[])[]) =>
      of.flatMap((ids) => Array.from({ length: options.count }, () => ids));
    const begun = decoderTexts(model, rows.length, options.decoderTokens);
    const read = sampled(rows);
    const prompts = begun ? sampled(begun) : read;
    // Of an encoder-decoder, all that is written is what comes behind the token that begins.
    const shown = begun ? prompts.map((ids) => ids.slice(1)) : prompts;
    const plan = options.plan === undefined ? null : readPlan(resolve(io.cwd, options.plan));
    const engine = await chooseEngine(model, io);
    if (plan) requirePlanOf(engine.graph, plan);

    const added: number[][] = prompts.map(() => []);
    const alone = prompts.length === 1 && !options.json;
    const writer = textWriter(vocabulary, shown[0] ?? [], (piece) => io.stdout.write(piece));
    const { steps, temperature, seed, topK, topP, threads, noCache } = options;
    const settings = {
      steps,
      temperature,
      seed,
      signal: io.signal,
      stop: endTokens(model),
      cache: !noCache,
      interventions: plan?.interventions ?? [],
      ...(begun ? { source: read } : {}),
      ...(topK ? { topK } : {}),
      ...(topP ? { topP } : {}),
      ...(threads ? { threads } : {}),
    };
    using bar = alone ? null : progress(io, 'tokens');
    let step = 0;
    for await (const next of generateTogether(engine, model.spec, prompts, settings)) {
      next.forEach((id, at) => {
        if (id === null) return;
        added[at]?.push(id);
        if (alone) writer.add(id);
      });
      bar?.update(++step / steps);
    }
    if (alone) {
      writer.end();
      if (io.stdout.isTerminal) io.stdout.write('\n');
      return;
    }
    const samples = prompts.map((ids, at) => ({
      prompt: Math.floor(at / options.count),
      sample: at % options.count,
      ids: [...(begun ? (read[at] ?? []) : ids)],
      ...(begun ? { decoderPrompt: [...ids] } : {}),
      tokens: added[at] ?? [],
      text: vocabulary ? vocabulary.decode([...(shown[at] ?? []), ...(added[at] ?? [])]) : null,
    }));
    const [first] = samples;
    const document = {
      kind: 'generation',
      version: 1,
      model: { name: model.name, contentHash: await model.checkpoint.contentHash() },
      executor: executorDocument(engine),
      bos: bosUsed(options),
      settings: { steps, temperature, seed, topK: topK ?? null, topP: topP ?? null },
      interventions: plan?.interventions ?? [],
      prompt: first?.ids ?? [],
      ...(begun ? { decoderPrompt: first?.decoderPrompt ?? [] } : {}),
      tokens: first?.tokens ?? [],
      text: first?.text ?? null,
      samples,
    };
    print(io, options, document, () =>
      samples
        .map(({ prompt, sample, tokens, text: whole }) => {
          const name = options.count > 1 ? `prompt ${prompt}, sample ${sample}` : `prompt ${prompt}`;
          return `── ${name}\n${whole ?? tokens.join(' ')}\n`;
        })
        .join(''),
    );
  },
});

const MAX_PROMPT_BYTES = 16_000_000;
const MAX_PROMPTS = 4096;

/** Texts of a file: a line each, or the field `prompt` of each line of JSON. Empty lines are none. */
function readPrompts(given: string, io: Io): string[] {
  const path = resolve(io.cwd, given);
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile() || found.size > MAX_PROMPT_BYTES) {
    throw new CircuitscopeError(
      'bad_file',
      `${given} is no file of prompts: give text with one a line, at most ${MAX_PROMPT_BYTES} bytes.`,
      { at: given },
    );
  }
  const lines = readFileSync(path, 'utf8').split(/\r?\n/);
  const texts = lines.flatMap((line, at) =>
    line === '' ? [] : [path.endsWith('.jsonl') ? promptOf(line, given, at) : line],
  );
  if (texts.length > 0 && texts.length <= MAX_PROMPTS) return texts;
  throw new CircuitscopeError('bad_file', `${given} holds ${texts.length} prompts; give 1 to ${MAX_PROMPTS}.`, {
    at: given,
    expected: `1 to ${MAX_PROMPTS}`,
    got: String(texts.length),
  });
}

function promptOf(line: string, given: string, at: number): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = null;
  }
  if (typeof value === 'object' && value !== null && 'prompt' in value && typeof value.prompt === 'string')
    return value.prompt;
  const place = `${given}, line ${at + 1}`;
  throw new CircuitscopeError('bad_file', `${place} is not {"prompt": TEXT}.`, {
    at: place,
    expected: '{"prompt": TEXT}',
  });
}

/** A decoder, or an encoder-decoder: whatever writes a text token by token. */
async function resolveWriter(given: string, io: Io): Promise<Model | EncoderDecoderModel> {
  const model = await resolveModel(given, io);
  return isEncoderDecoder(model) ? model : requireDecoder(model);
}

/** What an encoder-decoder's decoder begins with, for each text of its encoder; null for a decoder alone. */
function decoderTexts(
  model: Model | EncoderDecoderModel,
  count: number,
  given: readonly (readonly number[])[] | undefined,
): readonly (readonly number[])[] | null {
  const refuse = (sentence: string): never => {
    throw new CircuitscopeError('bad_option', sentence, { at: '--decoder-tokens' });
  };
  if (!isEncoderDecoder(model))
    return given ? refuse(`${model.name} reads one text; leave --decoder-tokens out.`) : null;
  const { start, vocab } = model.spec;
  const rows = given ?? [[start]];
  if (rows.length !== 1 && rows.length !== count) refuse(`--decoder-tokens must be one example, or ${count}.`);
  const bad = rows.flat().find((id) => id >= vocab);
  if (bad !== undefined) refuse(`The token ${bad} of --decoder-tokens is not in the vocabulary of ${vocab} tokens.`);
  return Array.from({ length: count }, (_, at) => rows[at] ?? rows[0] ?? []);
}

/**
 * Writes what each token adds to the decoded text, prompt included. A token may be part of a character; such bytes wait
 * for the next token, unless the tokenizer gives bytes.
 */
function textWriter(
  vocabulary: Tokenizer | null,
  prompt: readonly number[],
  write: (piece: string | Uint8Array) => void,
) {
  const ids = [...prompt];
  let written = 0;
  const bytes = (): Uint8Array => {
    if (!vocabulary) return new TextEncoder().encode(ids.slice(prompt.length).join(' '));
    return givesBytes(vocabulary) ? vocabulary.decodeBytes(ids) : new TextEncoder().encode(vocabulary.decode(ids));
  };
  const flush = (all: Uint8Array, upTo: number): void => {
    if (upTo <= written) return;
    write(all.subarray(written, upTo));
    written = upTo;
  };
  const add = (id: number): void => {
    ids.push(id);
    const all = bytes();
    flush(all, vocabulary && !givesBytes(vocabulary) ? withoutReplacements(all) : all.length);
  };
  return {
    add,
    end: () => {
      const all = bytes();
      flush(all, all.length);
    },
  };
}

const givesBytes = (tokenizer: Tokenizer): tokenizer is Llama2cTokenizer => tokenizer.kind === 'llama2c';

/** Length without the U+FFFD (EF BF BD) that stand for an unfinished character at the end. */
function withoutReplacements(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end >= 3 && bytes[end - 3] === 0xef && bytes[end - 2] === 0xbf && bytes[end - 1] === 0xbd) end -= 3;
  return end;
}
