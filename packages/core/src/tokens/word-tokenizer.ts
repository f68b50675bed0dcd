import { CircuitscopeError } from '@circuitscope/schema';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import type { Offset } from './byte-level-offsets.ts';
import { bosOf } from './missing-bos.ts';
import { surrounded } from './surrounded.ts';
import type { Tokenizer } from './tokenizer.ts';
import { unknownToken } from './unknown-token.ts';

const limits = { fileBytes: 16_000_000 } as const;
const BOS = '<bos>';

/** Opens a tokens.json. @throws CircuitscopeError `bad_tokenizer`, `missing_file`, `too_large`. */
export function openWordTokenizer(path: string): Tokenizer {
  const json = parseJson(readWhole(path, limits.fileBytes), { code: 'bad_tokenizer', at: path, maxDepth: 1 });
  if (!Array.isArray(json)) throw bad(path, 'it is not a list', 'a JSON list of strings', typeof json);
  return wordTokenizer(json, path);
}

/**
 * A vocabulary of whole words: entry i is the word of id i. A text is split at spaces, words are joined by one space. Only
 * with `bos: 'always'` does `<bos>` come first.
 *
 * @throws CircuitscopeError `bad_tokenizer` unless all entries are different strings, not empty and without spaces.
 */
export function wordTokenizer(words: readonly unknown[], at: string): Tokenizer {
  const list: string[] = [];
  const ids = new Map<string, number>();
  words.forEach((word, id) => {
    const place = `${at}: [${id}]`;
    if (typeof word !== 'string' || word === '' || word.includes(' ')) {
      throw bad(
        place,
        'it is not a word',
        'a string without spaces',
        typeof word === 'string' ? JSON.stringify(word.slice(0, 80)) : typeof word,
      );
    }
    if (ids.has(word))
      throw bad(place, 'the word is there twice', `only entry ${ids.get(word)}`, JSON.stringify(word.slice(0, 80)));
    ids.set(word, id);
    list.push(word);
  });

  const idOf = (word: string): number => {
    const id = ids.get(word);
    if (id === undefined) throw unknownToken(at, word, list.length);
    return id;
  };
  const token = (id: number): string => {
    const word = list[id];
    if (word === undefined) throw unknownToken(at, id, list.length);
    return word;
  };
  const bosId = ids.get(BOS) ?? null;
  return {
    kind: 'words',
    size: list.length,
    bosId,
    encode(text, options = {}) {
      const written = text.split(' ').filter((word) => word !== '');
      return options.bos === 'always' ? [bosOf(bosId, at), ...written.map(idOf)] : written.map(idOf);
    },
    offsets(text, options = {}) {
      const places = Array.from(text.matchAll(/[^ ]+/g), ({ 0: word, index }): Offset => {
        idOf(word);
        return [index, index + word.length];
      });
      if (options.bos !== 'always') return places;
      bosOf(bosId, at);
      return surrounded(places, 1);
    },
    decode: (idList) =>
      idList
        .map(token)
        .filter((word) => word !== BOS)
        .join(' '),
    token,
  };
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_tokenizer',
    `${at} is not a word vocabulary: ${what}; write a list of different words.`,
    {
      at,
      expected,
      got,
    },
  );
}
