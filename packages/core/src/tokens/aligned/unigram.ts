import { listOf, member } from '../json-part.ts';
import { SortedPieces } from './sorted-pieces.ts';
import { UnknownPart } from './unknown-part.ts';
import { byteIds } from './vocabulary-ids.ts';
import type { WordModel, WordToken } from './word-token.ts';

/** How far an unknown character lies below the least likely piece, in log-probability; SentencePiece's number. */
const UNKNOWN_PENALTY = 10;

/**
 * SentencePiece's Unigram (Kudo 2018): of all ways to write a word in pieces the likeliest, the first found among equals.
 * Unknown characters beside each other are one token, or their bytes where the vocabulary falls back on them.
 */
export function unigram(model: unknown): WordModel {
  const ids = new Map<string, number>();
  const scores: number[] = [];
  for (const entry of listOf(member(model, 'vocab'))) {
    const [piece, score] = listOf(entry);
    if (typeof piece !== 'string' || typeof score !== 'number') throw new UnknownPart('a piece without a score');
    ids.set(piece, scores.push(score) - 1);
  }
  const given = member(model, 'unk_id');
  const unknown = typeof given === 'number' ? given : NONE;
  if (unknown !== NONE && scores[unknown] === undefined) throw new UnknownPart('an unknown token that is no piece');
  const fallsBack = member(model, 'byte_fallback') === true;
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
  const pieces = new SortedPieces(ids.keys());

  /** The likeliest pieces, from the left; `unknown` ones are single characters. */
  const likeliest = (word: string): WordToken[] => {
    const best = new Float64Array(word.length + 1);
    const from = new Int32Array(word.length + 1).fill(NONE);
    const by = new Int32Array(word.length + 1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      const sum = score + (best[start] ?? 0);
      if (from[end] !== NONE && !(sum > (best[end] ?? 0))) return;
      best[end] = sum;
      from[end] = start;
      by[end] = id;
    };
    for (let start = 0; start < word.length; ) {
      const single = (word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
      let isKnown = false;
      for (const length of pieces.lengthsAt(word, start)) {
        const id = ids.get(word.slice(start, start + length)) ?? NONE;
        offer(start, start + length, id, scores[id] ?? 0);
        isKnown ||= length === single;
      }
      if (!isKnown) offer(start, start + single, unknown, unknownScore);
      start += single;
    }
    const path: WordToken[] = [];
    for (let end = word.length; end > 0; end = from[end] ?? 0)
      path.push({ id: by[end] ?? NONE, start: from[end] ?? 0, end });
    return path.reverse();
  };

  return (word) => {
    const tokens: WordToken[] = [];
    for (const { start, end } of fused(likeliest(word), unknown)) {
      const spelled = word.slice(start, end);
      const id = ids.get(spelled);
      const bytes = id === undefined && fallsBack ? byteIds(spelled, ids) : null;
      if (bytes) for (const byte of bytes) tokens.push({ id: byte, start, end });
      else if (id === undefined && unknown === NONE) return null;
      else tokens.push({ id: id ?? unknown, start, end });
    }
    return tokens;
  };
}

const NONE = -1;

/** Unknown neighbours made one. */
function fused(path: readonly WordToken[], unknown: number): WordToken[] {
  const tokens: WordToken[] = [];
  for (const token of path) {
    const last = tokens.at(-1);
    if (last?.id === unknown && token.id === unknown) tokens[tokens.length - 1] = { ...last, end: token.end };
    else tokens.push(token);
  }
  return tokens;
}
