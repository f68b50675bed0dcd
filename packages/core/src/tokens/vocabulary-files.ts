import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { fileSource, type GgufValue, readGguf } from '../checkpoints/index.ts';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import { huggingFaceTokenizer } from './hugging-face-tokenizer.ts';
import { sentencePieceTokenizer } from './sentencepiece-tokenizer.ts';
import { bosNamedBeside, settingBeside } from './special-tokens.ts';
import type { Tokenizer } from './tokenizer.ts';

// Vocabularies that are older than tokenizer.json, or lie in other files, put into its words.

const limits = { fileBytes: 64_000_000, tokens: 1 << 22 } as const;
const endOfText = '<|endoftext|>';

/** GPT-2's pair of vocab.json and merges.txt: bytes as letters, split by its pattern, merged in the order of the list. */
export function openVocabAndMerges(vocabPath: string): Tokenizer {
  const vocab = parseJson(readWhole(vocabPath, limits.fileBytes), { code: 'bad_tokenizer', at: vocabPath });
  if (Array.isArray(vocab)) throw bad(vocabPath, 'it is a list', 'an object of ids by token');
  const mergesPath = join(dirname(vocabPath), 'merges.txt');
  const lines = linesOf(mergesPath);
  // The first line names the version; a merge can begin with # too, but has no colon behind the word.
  const merges = (lines[0]?.startsWith('#version') ? lines.slice(1) : lines).map((line, i) =>
    merge(line, mergesPath, i),
  );
  return huggingFaceTokenizer(byteLevel(vocab, merges, gpt2Split), vocabPath, bosNamedBeside(vocabPath) ?? endOfText);
}

/**
 * BERT's vocab.txt: one WordPiece a line. Texts are put into small letters as tokenizer_config.json says, else where the
 * vocabulary has no capital.
 */
export function openWordPieces(path: string): Tokenizer {
  const words = linesOf(path);
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  if (Object.keys(vocab).length !== words.length) throw bad(path, 'a word stands there twice', 'lines that differ');
  const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((word) => Object.hasOwn(vocab, word));
  if (!['[UNK]', '[CLS]', '[SEP]'].every((word) => specials.includes(word)))
    throw bad(path, 'it lacks a special word', '[UNK], [CLS] and [SEP]');
  const said = settingBeside(path, 'do_lower_case');
  const capital = /[A-Z]/;
  const lowercase =
    typeof said === 'boolean'
      ? said
      : !words.some((word) => !specials.includes(word) && capital.test(word) && !/^\[unused/.test(word));
  const special = (word: string) => ({ SpecialToken: { id: word, type_id: 0 } });
  const known = (word: string) => ({ id: word, ids: [vocab[word]], tokens: [word] });
  const json = {
    added_tokens: specials.map((content) => ({ id: vocab[content], content, special: true, normalized: false })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
      pair: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
      special_tokens: { '[CLS]': known('[CLS]'), '[SEP]': known('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
  return huggingFaceTokenizer(json, path, '[CLS]');
}

/**
 * The vocabulary in a GGUF file's metadata: SentencePiece with merges by score (`tokenizer.ggml.model` llama), or of the
 * byte-level kind (gpt2): GPT-2, Pythia, Llama 3, Qwen 2 by their splits. BOS comes first with `auto` if the file says so.
 */
export function openGgufTokenizer(path: string): Tokenizer {
  const { metadata } = readGguf(fileSource(path));
  const value = (key: string): GgufValue | undefined => metadata.get(`tokenizer.ggml.${key}`);
  const at = `${path}: tokenizer.ggml`;
  const model = value('model');
  if (model === 'llama') return openGgufPieces(value, at);
  if (model !== 'gpt2') {
    const kind = String(model ?? 'none').slice(0, 40);
    throw new CircuitscopeError(
      'unsupported_tokenizer',
      `${at} is of the kind ${kind}; give a tokenizer.json, or token ids.`,
      {
        at,
        expected: 'gpt2 (byte-level) or llama (SentencePiece)',
        got: kind,
      },
    );
  }
  const tokens = texts(value('tokens'), `${at}.tokens`);
  const merges = texts(value('merges'), `${at}.merges`).map((line, i) => merge(line, `${at}.merges`, i));
  const kinds = value('token_type');
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  if (Object.keys(vocab).length !== tokens.length)
    throw bad(`${at}.tokens`, 'a token stands there twice', 'texts that differ');
  const pre = value('pre') ?? 'gpt-2';
  const split = typeof pre === 'string' && Object.hasOwn(ggufSplits, pre) ? ggufSplits[pre] : undefined;
  if (!split) {
    const message = `${at}.pre names the split ${String(pre).slice(0, 40)}, which is not known; give a tokenizer.json.`;
    throw new CircuitscopeError('unsupported_tokenizer', message, { at, expected: Object.keys(ggufSplits).join(', ') });
  }
  const added = tokens.flatMap((content, id) => {
    // Kinds: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    const kind = Array.isArray(kinds) ? kinds[id] : 1;
    return kind === 3 || kind === 4 ? [{ id, content, special: kind === 3, normalized: false }] : [];
  });
  const bos = value('bos_token_id');
  const bosName = typeof bos === 'number' ? tokens[bos] : undefined;
  const first = value('add_bos_token') === true ? bosName : undefined;
  return huggingFaceTokenizer({ ...byteLevel(vocab, merges, split, first), added_tokens: added }, path, bosName);
}

/** SentencePiece as llama.cpp writes it; where it says nothing, BOS comes first and a space before the text. */
function openGgufPieces(value: (key: string) => GgufValue | undefined, at: string): Tokenizer {
  const pieces = texts(value('tokens'), `${at}.tokens`);
  const { length } = pieces;
  const scores = numbers(value('scores'), length, `${at}.scores`);
  const types = numbers(value('token_type'), length, `${at}.token_type`);
  const id = (key: string, usual: number): number | null => {
    const given = value(`${key}_token_id`) ?? usual;
    if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given < length) return given;
    if (value(`${key}_token_id`) === undefined) return null;
    throw bad(`${at}.${key}_token_id`, 'it is no id of the vocabulary', `0 to ${length - 1}`);
  };
  const flag = (key: string, usual: boolean): boolean => {
    const given = value(key) ?? usual;
    if (typeof given === 'boolean') return given;
    throw bad(`${at}.${key}`, 'it is no flag', 'true or false');
  };
  const [bosId, eosId] = [id('bos', 1), id('eos', 2)];
  const adds = { bos: flag('add_bos_token', true) && bosId !== null, eos: flag('add_eos_token', false) };
  // Kinds: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
  const known = ['normal', 'unknown', 'control', 'literal', 'normal', 'byte'] as const;
  const kinds = types.map((type, token) => {
    const kind = known[type - 1];
    if (kind) return kind;
    throw bad(`${at}.token_type`, `token ${token} is of the kind ${type}`, '1 to 6');
  });
  const spacePrefix = flag('add_space_prefix', true);
  return sentencePieceTokenizer({ pieces, scores, kinds, bosId, eosId, adds, spacePrefix }, at);
}

function numbers(value: GgufValue | undefined, length: number, at: string): readonly number[] {
  const given: readonly unknown[] = Array.isArray(value) ? value : [];
  const list = given.filter((entry): entry is number => typeof entry === 'number' && Number.isFinite(entry));
  if (list.length === length && given.length === length) return list;
  throw bad(at, 'it is no number for each token', `${length} numbers`);
}

const gpt2Split = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const numbersOf = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** llama.cpp's names of splits. */
const ggufSplits: { readonly [name: string]: string } = {
  'gpt-2': gpt2Split,
  olmo: gpt2Split,
  'llama-bpe': numbersOf('{1,3}'),
  qwen2: numbersOf(''),
};

function byteLevel(vocab: unknown, merges: readonly string[][], split: string, first?: string): object {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const id = Object(vocab)[first ?? endOfText];
  const template = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: first, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [first ?? '']: { id: first, ids: [id], tokens: [first] } },
  };
  return {
    added_tokens: typeof id === 'number' ? [{ id, content: first ?? endOfText, special: true, normalized: false }] : [],
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Split', pattern: { Regex: split }, behavior: 'Isolated', invert: false }, bytes],
    },
    post_processor: first === undefined ? { ...bytes, trim_offsets: false } : template,
    decoder: bytes,
    model: { type: 'BPE', vocab, merges, unk_token: null, fuse_unk: false, byte_fallback: false },
  };
}

function linesOf(path: string): string[] {
  if (!existsSync(path)) {
    throw new CircuitscopeError('missing_file', `${path} is missing; the vocabulary needs it.`, { at: path });
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readWhole(path, limits.fileBytes));
  } catch (error) {
    if (error instanceof CircuitscopeError) throw error;
    throw bad(path, 'it is not UTF-8', 'text');
  }
  // Only the line break ends a line: words may hold other white space.
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > limits.tokens) throw bad(path, 'it has too many lines', `at most ${limits.tokens}`);
  return lines;
}

function merge(line: string, at: string, place: number): string[] {
  const parts = line.split(' ');
  if (parts.length === 2 && parts[0] !== '' && parts[1] !== '') return parts;
  throw bad(`${at}: merge ${place}`, 'it is no pair of pieces', 'two texts with one space between');
}

function texts(value: GgufValue | undefined, at: string): readonly string[] {
  const given: readonly unknown[] = Array.isArray(value) ? value : [];
  const list = given.filter((entry): entry is string => typeof entry === 'string');
  if (list.length > 0 && list.length === given.length && list.length <= limits.tokens) return list;
  throw bad(at, 'it is no list of texts', 'texts');
}

function bad(at: string, what: string, expected: string): CircuitscopeError {
  return new CircuitscopeError('bad_tokenizer', `${at} is not usable: ${what}; check the tokenizer file.`, {
    at,
    expected,
  });
}
