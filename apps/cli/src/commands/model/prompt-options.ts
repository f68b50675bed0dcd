import { resolve } from 'node:path';
import type { AnyModel } from '@circuitscope/core/architectures';
import type { Prompt } from '@circuitscope/core/plan';
import { type Bos, openTokenizer, type Tokenizer } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../../io.ts';
import { badOption, choice, text, valued, withDefault } from '../../options/index.ts';

// Options that say what a model reads: token ids, or text with the tokenizer that belongs to the model.

export const tokens = valued('[[ID,…],…]', 'token ids, one list per example, all equally long', (given, name) =>
  parseRows(given, name),
);

export const mask = valued('[[0|1,…],…]', '1 at real tokens, 0 at padding; as --tokens', (given, name) =>
  parseRows(given, name),
);

export const promptParts = {
  decoderTokens: valued('[[ID,…],…]', "what an encoder-decoder's decoder reads", (given, name) =>
    parseRows(given, name),
  ),
  tokenTypeIds: valued('[[0|1,…],…]', 'the segment of each token; as --tokens', (given, name) =>
    parseRows(given, name),
  ),
  positionIds: valued(
    '[[N,…],…]',
    'position ids; as --tokens (default: counted from the first real one)',
    (given, name) => parseRows(given, name),
  ),
  images: text(
    'FILE',
    'images in place of tokens: .npy, the tensor images of a safetensors file, a .png or .jpg between 0 and 1',
  ),
};

export const tokenizer = text('PATH', 'tokenizer file (default: the one beside the model)');

export const bos = withDefault(
  choice(
    ['auto', 'always', 'never'] as const,
    'whether a text begins with the token that begins texts: as its vocabulary says, in any case, or with none of the vocabulary’s own tokens',
  ),
  'auto',
);

/** How the text of the options began, as results say it; null where token ids were given, which are taken as they are. */
export function bosUsed(options: { readonly tokens: number[][] | undefined; readonly bos: Bos }): Bos | null {
  return options.tokens === undefined ? options.bos : null;
}

/** The tokenizer that reads the text of the options; null where they give token ids. */
export function vocabularyOf(
  options: {
    readonly tokens: number[][] | undefined;
    readonly text: string | undefined;
    readonly tokenizer: string | undefined;
  },
  given: string,
  io: Io,
): Tokenizer | null {
  return options.tokens === undefined && options.text !== undefined ? tokenizerFor(options.tokenizer, given, io) : null;
}

/**
 * Where each token of the text lies in it, in UTF-16 units, the tokens around it at [0, 0]; null where token ids were given, or
 * where the tokenizer does not say.
 */
export function offsetsRead(
  vocabulary: Tokenizer | null,
  options: { readonly text: string | undefined; readonly bos: Bos },
): readonly (readonly [number, number])[] | null {
  if (!vocabulary || options.text === undefined) return null;
  try {
    return vocabulary.offsets(options.text, { bos: options.bos });
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'unsupported_tokenizer') return null;
    throw error;
  }
}

/** The prompt that the options name; exactly one of tokens and text. A vocabulary is one that is open. */
export function promptFrom(
  options: {
    readonly tokens: number[][] | undefined;
    readonly text: string | undefined;
    readonly mask?: number[][] | undefined;
    readonly tokenizer: string | undefined;
    readonly bos?: Bos;
    readonly vocabulary?: Tokenizer | null;
    readonly decoderTokens?: number[][] | undefined;
    readonly tokenTypeIds?: number[][] | undefined;
    readonly positionIds?: number[][] | undefined;
  },
  model: AnyModel,
  given: string,
  io: Io,
): Prompt {
  if ((options.tokens === undefined) === (options.text === undefined)) {
    throw new CircuitscopeError(
      'bad_option',
      "Give the model something to read: either --tokens '[[1,2,3]]' or --text 'some words'.",
      { at: '--tokens' },
    );
  }
  const vocabulary = options.vocabulary ?? vocabularyOf(options, given, io);
  const rows = options.tokens ?? [vocabulary?.encode(options.text ?? '', { bos: options.bos ?? 'auto' }) ?? []];
  const { spec } = model;
  if (spec.kind === 'convnet') {
    throw new CircuitscopeError('bad_option', `${model.name} looks at images; give --images FILE.`, { at: '--images' });
  }
  for (const id of [...rows, ...(options.decoderTokens ?? [])].flat()) {
    if (id < spec.vocab) continue;
    throw new CircuitscopeError('out_of_range', `The token ${id} is not in the vocabulary of ${spec.vocab} tokens.`, {
      expected: `0 to ${spec.vocab - 1}`,
      got: String(id),
    });
  }
  return {
    tokens: rows,
    ...(options.mask ? { mask: options.mask } : {}),
    ...(options.decoderTokens ? { decoderTokens: options.decoderTokens } : {}),
    ...(options.tokenTypeIds ? { tokenTypes: options.tokenTypeIds } : {}),
    ...(options.positionIds ? { positions: options.positionIds } : {}),
  };
}

/** The tokenizer that was named, else the one beside the model. @param given the `--model` */
export function tokenizerFor(path: string | undefined, given: string, io: Io): Tokenizer {
  if (path === undefined && given.startsWith('zoo:')) {
    throw new CircuitscopeError('missing_tokenizer', `${given} comes without a tokenizer file; give token ids.`, {
      at: given,
    });
  }
  return openTokenizer(resolve(io.cwd, path ?? given));
}

/** `[[1,2],[3,4]]`, and `[1,2]` for a single example. */
function parseRows(given: string, name: string): number[][] {
  const expected = 'lists of whole numbers such as [[1,2,3]]';
  let value: unknown;
  try {
    value = JSON.parse(given);
  } catch {
    throw badOption(name, expected, given);
  }
  const rows: unknown =
    Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'number') ? [value] : value;
  const isRow = (row: unknown): row is number[] =>
    Array.isArray(row) && row.every((id) => Number.isSafeInteger(id) && id >= 0);
  if (Array.isArray(rows) && rows.length > 0 && rows.every(isRow)) return rows;
  throw badOption(name, expected, given);
}
