import { CircuitscopeError } from '@circuitscope/schema';
import * as library from '@huggingface/tokenizers';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import { type AlignedTokenizer, type AlignedTokens, alignedTokenizer } from './aligned/aligned-tokenizer.ts';
import { isObject, member } from './json-part.ts';
import { bosOf } from './missing-bos.ts';
import { mayBacktrackForEver } from './regex-guard.ts';
import { bosNamedBeside } from './special-tokens.ts';
import { surrounded } from './surrounded.ts';
import { textTooLong } from './text-too-long.ts';
import type { Bos, Tokenizer } from './tokenizer.ts';
import { unknownToken } from './unknown-token.ts';

const limits = { fileBytes: 64_000_000, textLength: 4_000_000, ids: 1 << 24, patternLength: 4096 } as const;

/** What is used of the library; its own declarations do not resolve under Node's module rules. */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
  get_vocab(withAdded: boolean): Map<string, number>;
}

/**
 * A tokenizer.json. Texts are read by the steps of `aligned/`, which know where each token lies, equal to the Python library;
 * a file with a part that they lack, and all decoding, goes to `@huggingface/tokenizers` (plain JavaScript, the one of
 * transformers.js). What that lacks too is an error and never skipped. As in Python, a character that the vocabulary lacks
 * vanishes where the file names no unknown token.
 *
 * @throws CircuitscopeError `bad_tokenizer`, `unsupported_tokenizer`, `missing_file`, `too_large`.
 */
export function openHuggingFaceTokenizer(path: string): Tokenizer {
  const json = parseJson(readWhole(path, limits.fileBytes), { code: 'bad_tokenizer', at: path });
  return huggingFaceTokenizer(json, path, bosNamedBeside(path));
}

/**
 * @param json what a tokenizer.json holds
 * @param at file, for errors
 * @param bosName the token that begins a text, where another file names it; else it is the one that the template puts first,
 *   or the only special token.
 */
export function huggingFaceTokenizer(json: unknown, at: string, bosName?: string): Tokenizer {
  checkVocabulary(json, at);
  checkPatterns(json, at);
  const tokenizer = construct(withoutNmt(json), at);
  const vocabulary = tokenizer.get_vocab(true);
  const size = 1 + [...vocabulary.values()].reduce((most, id) => Math.max(most, id), -1);
  const name = bosName ?? firstOfTemplate(json) ?? onlySpecial(json);
  const bosId = (name === undefined ? undefined : vocabulary.get(name)) ?? null;

  const token = (id: number): string => {
    const text = Number.isInteger(id) ? tokenizer.id_to_token(id) : undefined;
    if (text === undefined) throw unknownToken(at, id, size);
    return text;
  };
  // Made when a text is first read: many open a vocabulary for its spellings alone.
  let made: AlignedTokenizer | string | undefined;
  const steps = (): AlignedTokenizer | string => {
    made ??= guarded(at, () => alignedTokenizer(json, (id) => tokenizer.id_to_token(id)));
    return made;
  };
  const byLibrary = (text: string, bos: Bos): number[] => {
    const { ids } = guarded(at, () => tokenizer.encode(text, { add_special_tokens: bos !== 'never' }));
    return ids.map((id) => {
      if (id === undefined) throw unknownToken(at, text, size);
      return id;
    });
  };
  const checked = (text: string): string => {
    if (text.length > limits.textLength) throw textTooLong(at, text.length, limits.textLength);
    return text;
  };
  const read = (text: string, { before, after, read: tokensOf }: AlignedTokenizer, bos: Bos): AlignedTokens => {
    const tokens = guarded(at, () => tokensOf(text));
    if (!tokens) throw unknownToken(at, text, size);
    if (bos === 'never') return tokens;
    const ids = [...before, ...tokens.ids, ...after];
    const isMissing = bos === 'always' && ids[0] !== bosOf(bosId, at);
    return {
      ids: isMissing ? [bosOf(bosId, at), ...ids] : ids,
      offsets: surrounded(tokens.offsets, before.length + (isMissing ? 1 : 0), after.length),
    };
  };
  const encode: Tokenizer['encode'] = (text, { bos = 'auto' } = {}) => {
    const aligned = steps();
    if (typeof aligned !== 'string') return read(checked(text), aligned, bos).ids;
    const ids = byLibrary(checked(text), bos);
    return bos === 'always' && ids[0] !== bosOf(bosId, at) ? [bosOf(bosId, at), ...ids] : ids;
  };
  const offsets: Tokenizer['offsets'] = (text, { bos = 'auto' } = {}) => {
    const aligned = steps();
    if (typeof aligned === 'string') throw withoutOffsets(at, aligned);
    return read(checked(text), aligned, bos).offsets;
  };
  return {
    kind: 'huggingface',
    size,
    bosId,
    encode,
    offsets,
    decode(ids) {
      if (ids.length === 0) return '';
      ids.forEach(token); // the library would write its unknown token in silence
      const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
      return guarded(at, () => tokenizer.decode([...ids], options));
    },
    token,
  };
}

/**
 * SentencePiece's `Nmt` normalizer in terms of two replacements, for the library has it not: some control characters go,
 * white space, zero-width characters, U+2581 and U+FFFD become spaces.
 */
function withoutNmt(value: unknown): object {
  const rewritten = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(rewritten);
    if (!isObject(part)) return part;
    if (member(part, 'type') === 'Nmt') return { type: 'Sequence', normalizers: nmt };
    return { ...part, normalizers: rewritten(member(part, 'normalizers')) };
  };
  const json = Object(value);
  return { ...json, normalizer: rewritten(member(json, 'normalizer')) };
}

const nmt = [
  { type: 'Replace', pattern: { Regex: '[\\x01-\\x08\\x0b\\x0e-\\x1f\\x7f\\x8f\\x9f]' }, content: '' },
  {
    type: 'Replace',
    pattern: { Regex: '[\\t\\n\\x0c\\r\\u1680\\u200b-\\u200f\\u2028\\u2029\\u2581\\ufeff\\ufffd]' },
    content: ' ',
  },
];

/** The special token that a template puts before a text. */
function firstOfTemplate(json: unknown): string | undefined {
  const processor = member(json, 'post_processor');
  const inner = member(processor, 'processors');
  for (const part of [processor, ...(Array.isArray(inner) ? inner : [])]) {
    const single = member(part, 'single');
    const first = member(Array.isArray(single) ? single[0] : undefined, 'SpecialToken');
    const id = member(first, 'id');
    if (member(part, 'type') === 'TemplateProcessing' && typeof id === 'string') return id;
  }
  return undefined;
}

function onlySpecial(json: unknown): string | undefined {
  const added = member(json, 'added_tokens');
  const special = (Array.isArray(added) ? added : []).filter((entry) => member(entry, 'special') === true);
  const content = special.length === 1 ? member(special[0], 'content') : undefined;
  return typeof content === 'string' ? content : undefined;
}

function construct(json: object, at: string): LibraryTokenizer {
  try {
    return new library.Tokenizer(json, {});
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'unknown reason';
    throw new CircuitscopeError(
      'unsupported_tokenizer',
      `${at} cannot be used (${reason}); give token ids instead of text.`,
      {
        at,
        cause,
      },
    );
  }
}

function guarded<T>(at: string, compute: () => T): T {
  try {
    return compute();
  } catch (cause) {
    throw new CircuitscopeError(
      'bad_tokenizer',
      `The tokenizer in ${at} failed on this text; give token ids instead.`,
      {
        at,
        cause,
      },
    );
  }
}

/** Ids must be small whole numbers, for the library makes them places in a list. */
function checkVocabulary(json: unknown, at: string): asserts json is object {
  const model = member(json, 'model');
  const type = member(model, 'type');
  // Older files have no type and the library infers it; a type that it does not know it would treat as another in silence.
  if (type !== undefined && type !== 'BPE' && type !== 'WordPiece' && type !== 'Unigram') {
    throw unsupported(at, `model type ${String(type).slice(0, 80)}`);
  }
  const vocabulary = member(model, 'vocab');
  if (Array.isArray(vocabulary)) {
    for (const entry of vocabulary) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1])) {
        throw bad(`${at}: model.vocab`, 'an entry is not [piece, score]', 'a string and a number', typeof entry);
      }
    }
  } else if (isObject(vocabulary)) {
    for (const [word, id] of Object.entries(vocabulary))
      checkId(id, `${at}: model.vocab[${JSON.stringify(word.slice(0, 80))}]`);
  } else {
    throw bad(`${at}: model.vocab`, 'there is no vocabulary', 'an object or a list', typeof vocabulary);
  }
  const added = member(json, 'added_tokens') ?? [];
  if (!Array.isArray(added)) throw bad(`${at}: added_tokens`, 'it is not a list', 'a list', typeof added);
  added.forEach((entry: unknown, i) => {
    if (typeof member(entry, 'content') !== 'string')
      throw bad(`${at}: added_tokens[${i}]`, 'it has no text', 'a string', 'none');
    checkId(member(entry, 'id'), `${at}: added_tokens[${i}]`);
  });
}

function checkId(id: unknown, at: string): void {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < limits.ids) return;
  throw bad(at, 'this is not a token id', `a whole number below ${limits.ids}`, String(id).slice(0, 80));
}

/** Patterns stand anywhere in the tree of normalizers, splitters and decoders, as `{ "Regex": … }`. */
function checkPatterns(json: object, at: string): void {
  for (const part of ['normalizer', 'pre_tokenizer', 'decoder', 'post_processor']) {
    const waiting: unknown[] = [member(json, part)];
    while (waiting.length > 0) {
      const value = waiting.pop();
      if (typeof value !== 'object' || value === null) continue;
      const pattern = member(value, 'Regex');
      // The library would pass over a splitter without a pattern, with a warning.
      const place = member(value, 'pattern');
      const wanted = place !== undefined || ['Split', 'Replace'].includes(String(member(value, 'type')));
      if (wanted && typeof (member(place, 'Regex') ?? member(place, 'String')) !== 'string') {
        throw bad(`${at}: ${part}`, 'a pattern is neither text nor expression', 'Regex or String', typeof place);
      }
      if (typeof pattern === 'string' && (pattern.length > limits.patternLength || mayBacktrackForEver(pattern))) {
        throw bad(`${at}: ${part}`, 'a pattern could run for ever', 'no repeated groups', pattern.slice(0, 80));
      }
      for (const inner of Object.values(value)) waiting.push(inner);
    }
  }
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_tokenizer', `${at} is not usable: ${what}; check the tokenizer file.`, {
    at,
    expected,
    got,
  });
}

function unsupported(at: string, reason: string, cause?: unknown): CircuitscopeError {
  return new CircuitscopeError(
    'unsupported_tokenizer',
    `${at} cannot be used (${reason}); give token ids instead of text.`,
    {
      at,
      cause,
    },
  );
}

function withoutOffsets(at: string, reason: string): CircuitscopeError {
  return new CircuitscopeError(
    'unsupported_tokenizer',
    `${at} does not say where its tokens lie (${reason}); use their ids alone.`,
    { at, got: reason },
  );
}
