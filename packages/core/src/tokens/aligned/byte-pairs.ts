import { listOf, member } from '../json-part.ts';
import { mergeRuns } from '../merge-pairs.ts';
import { UnknownPart } from './unknown-part.ts';
import { byteIds, vocabularyIds } from './vocabulary-ids.ts';
import type { WordModel, WordToken } from './word-token.ts';

/**
 * Byte-pair encoding (Sennrich et al. 2016) of a word: its characters, or their bytes where the vocabulary falls back on
 * them, else the unknown token, merged in the order of the file's list. A character that can in no way be written vanishes,
 * as in the reference; unlike there what follows it keeps its place.
 */
export function bytePairs(model: unknown): WordModel {
  const ids = vocabularyIds(model);
  const dropout = member(model, 'dropout') ?? 0;
  if (dropout !== 0) throw new UnknownPart('merges that are dropped at random');
  const [prefix, suffix] = [affix(model, 'continuing_subword_prefix'), affix(model, 'end_of_word_suffix')];
  const merges = mergesOf(model, ids, prefix.length);
  const named = member(model, 'unk_token');
  const unknown = typeof named === 'string' ? ids.get(named) : undefined;
  if (typeof named === 'string' && named !== '' && unknown === undefined)
    throw new UnknownPart('an unknown token that is no piece');
  const [fallsBack, fuses] = [member(model, 'byte_fallback') === true, member(model, 'fuse_unk') === true];
  const takesWhole = member(model, 'ignore_merges') === true;

  const symbolsOf = (word: string): WordToken[] => {
    const symbols: WordToken[] = [];
    let isUnknown = false; // the last symbol stands for a character that is no piece
    let start = 0;
    for (const character of word) {
      const end = start + character.length;
      const spelled = (start > 0 ? prefix : '') + character + (end === word.length ? suffix : '');
      const id = ids.get(spelled);
      const bytes = id === undefined && fallsBack ? byteIds(spelled, ids) : null;
      const last = symbols.at(-1);
      if (id !== undefined) symbols.push({ id, start, end });
      else if (bytes) for (const byte of bytes) symbols.push({ id: byte, start, end });
      else if (unknown !== undefined && fuses && isUnknown && last) symbols[symbols.length - 1] = { ...last, end };
      else if (unknown !== undefined) symbols.push({ id: unknown, start, end });
      isUnknown = id === undefined && !bytes && unknown !== undefined;
      start = end;
    }
    return symbols;
  };

  return (word) => {
    const whole = takesWhole ? ids.get(word) : undefined;
    if (whole !== undefined) return [{ id: whole, start: 0, end: word.length }];
    const symbols = symbolsOf(word);
    const runs = mergeRuns(
      symbols.map(({ id }) => id),
      (left, right) => merges.get(left * PAIR + right),
    );
    return runs.map(({ id, from, to }): WordToken => {
      return { id, start: symbols[from]?.start ?? 0, end: symbols[to - 1]?.end ?? word.length };
    });
  };
}

/** Ids are below 2²⁴, so two of them are one exact number. */
const PAIR = 2 ** 24;

function mergesOf(model: unknown, ids: ReadonlyMap<string, number>, prefixLength: number) {
  const merges = new Map<number, { readonly id: number; readonly score: number }>();
  listOf(member(model, 'merges')).forEach((merge, rank) => {
    const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : listOf(merge);
    if (typeof left !== 'string' || typeof right !== 'string' || more.length > 0)
      throw new UnknownPart('a merge that is no pair');
    const [first, second, id] = [ids.get(left), ids.get(right), ids.get(left + right.slice(prefixLength))];
    if (first === undefined || second === undefined || id === undefined)
      throw new UnknownPart('a merge of texts that are no pieces');
    merges.set(first * PAIR + second, { id, score: -rank });
  });
  return merges;
}

function affix(model: unknown, key: string): string {
  const text = member(model, key);
  return typeof text === 'string' ? text : '';
}
