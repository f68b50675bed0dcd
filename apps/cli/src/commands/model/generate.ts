import type { Model } from '@circuitscope/core/architectures';
import { generate as generateTokens, type Llama2cTokenizer, type Tokenizer } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { flag, integer, real, shared, text, withDefault } from '../../options/index.ts';
import { print } from '../../output/index.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';
import { bos, bosUsed, promptFrom, tokenizer, tokenizerFor, tokens } from './prompt-options.ts';

export const generate = command({
  summary: 'continue a text, token by token',
  details:
    'Keys and values of earlier tokens are kept, so a new token costs one pass over itself; --no-cache runs the whole text for each, to the same bits. Generation ends after --steps tokens, at the token that ends a text, or where the context is full. The text goes to stdout byte for byte; with --tokens and no tokenizer, ids do.',
  options: {
    model: modelOption,
    prompt: text('TEXT', 'text to continue (default: the beginning of a text)'),
    tokens,
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
  ],
  run: async (options, io) => {
    const model = await resolveDecoder(options.model, io);
    const vocabulary =
      options.tokens === undefined || options.tokenizer !== undefined
        ? tokenizerFor(options.tokenizer, options.model, io)
        : null;
    const given = {
      tokens: options.tokens,
      text: options.tokens ? options.prompt : (options.prompt ?? ''),
      tokenizer: options.tokenizer,
      bos: options.bos,
    };
    const [ids = [], ...others] = promptFrom(given, model, options.model, io).tokens;
    if (others.length > 0)
      throw new CircuitscopeError(
        'bad_option',
        '--tokens must be one example here; generation continues one text at a time.',
        { at: '--tokens' },
      );
    const engine = await chooseEngine(model, io);

    const added: number[] = [];
    const writer = textWriter(vocabulary, ids, (piece) => io.stdout.write(piece));
    const { steps, temperature, seed, topK, topP, threads, noCache } = options;
    const settings = {
      steps,
      temperature,
      seed,
      signal: io.signal,
      stop: endTokens(model),
      cache: !noCache,
      ...(topK ? { topK } : {}),
      ...(topP ? { topP } : {}),
      ...(threads ? { threads } : {}),
    };
    for await (const id of generateTokens(engine, model.spec, ids, settings)) {
      added.push(id);
      if (!options.json) writer.add(id);
    }
    if (!options.json) {
      writer.end();
      if (io.stdout.isTerminal) io.stdout.write('\n');
      return;
    }
    const document = {
      kind: 'generation',
      version: 1,
      model: { name: model.name, contentHash: await model.checkpoint.contentHash() },
      executor: executorDocument(engine),
      bos: bosUsed(options),
      settings: { steps, temperature, seed, topK: topK ?? null, topP: topP ?? null },
      prompt: [...ids],
      tokens: added,
      text: vocabulary ? vocabulary.decode([...ids, ...added]) : null,
    };
    print(io, options, document, () => '');
  },
});

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

/** llama2.c ends a story with the token that begins one; Hugging Face configs name theirs. */
function endTokens({ checkpoint }: Model): ReadonlySet<number> {
  if (checkpoint.kind === 'llama2c') return new Set([1]);
  const { config } = checkpoint;
  const named: unknown =
    typeof config === 'object' && config !== null && 'eos_token_id' in config ? config.eos_token_id : null;
  return new Set([named].flat().filter((id): id is number => typeof id === 'number'));
}
