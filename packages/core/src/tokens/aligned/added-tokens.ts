import { isObject, listOf, member } from '../json-part.ts';
import { AlignedText } from './aligned-text.ts';
import type { Normalizer } from './normalizer.ts';
import { SortedPieces } from './sorted-pieces.ts';

/** A piece of a text between added tokens (`id` is null), or one of them. */
export interface Section {
  readonly text: AlignedText;
  readonly id: number | null;
}

interface AddedToken {
  readonly id: number;
  readonly isWord: boolean;
  readonly takesLeft: boolean;
  readonly takesRight: boolean;
}

/**
 * Cuts the `added_tokens` of a tokenizer.json out of a text: first those that stand for themselves, then, in what is left
 * and as the normalizer wrote it, those that are normalized too. The longest wins at each place.
 */
export function addedTokens(json: unknown, normalize: Normalizer): (text: AlignedText) => Section[] {
  const given = new Map<string, AddedToken>();
  const normalized = new Map<string, AddedToken>();
  for (const entry of listOf(member(json, 'added_tokens'))) {
    const [content, id] = [member(entry, 'content'), member(entry, 'id')];
    if (!isObject(entry) || typeof content !== 'string' || typeof id !== 'number') continue;
    const is = (key: string): boolean => member(entry, key) === true;
    const token = { id, isWord: is('single_word'), takesLeft: is('lstrip'), takesRight: is('rstrip') };
    const isNormalized = (member(entry, 'normalized') ?? !is('special')) === true;
    const [list, spelled] = isNormalized ? [normalized, normalize(AlignedText.of(content)).text] : [given, content];
    if (!list.has(spelled)) list.set(spelled, token);
  }
  const [cutGiven, cutNormalized] = [cutter(given), cutter(normalized)];
  return (text) =>
    cutGiven(text).flatMap((section) => (section.id === null ? cutNormalized(normalize(section.text)) : [section]));
}

function cutter(tokens: ReadonlyMap<string, AddedToken>): (source: AlignedText) => Section[] {
  const pieces = new SortedPieces(tokens.keys());
  return (source) => {
    const { text } = source;
    const sections: Section[] = [];
    const cut = (start: number, end: number, id: number | null): void => {
      if (start < end) sections.push({ text: source.slice(start, end), id });
    };
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const length = pieces.lengthsAt(text, at).at(-1);
      const token = length === undefined ? undefined : tokens.get(text.slice(at, at + length));
      if (!token || length === undefined) {
        at++;
        continue;
      }
      let [start, end] = [at, at + length];
      at = end;
      if (
        token.isWord &&
        (endsInWord.test(text.slice(Math.max(0, start - 2), start)) || beginsWord.test(text.slice(end, end + 2)))
      )
        continue;
      while (token.takesLeft && start > done && isSpace(text, start - 1)) start--;
      while (token.takesRight && end < text.length && isSpace(text, end)) end++;
      cut(done, start, null);
      cut(start, end, token.id);
      done = end;
    }
    cut(done, text.length, null);
    return sections;
  };
}

/** Every white space is one unit. */
const isSpace = (text: string, at: number): boolean => /\p{White_Space}/u.test(text[at] ?? '');

// What Rust's expressions call \w.
const beginsWord = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const endsInWord = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
