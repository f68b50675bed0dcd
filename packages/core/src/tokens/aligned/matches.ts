import * as library from '@huggingface/tokenizers';
import type { Offset } from '../byte-level-offsets.ts';
import { member } from '../json-part.ts';
import { UnknownPart } from './unknown-part.ts';

/** A range of a text, and whether it is what was looked for. Ranges of one text follow each other and cover it. */
export interface Match {
  readonly start: number;
  readonly end: number;
  readonly found: boolean;
}

/**
 * The expression of a `pattern`, `{ String }` or `{ Regex }`. Files write Oniguruma's language; the library puts it into
 * JavaScript's.
 */
export function patternOf(pattern: unknown): RegExp {
  const [plain, source] = [member(pattern, 'String'), member(pattern, 'Regex')];
  if (typeof plain === 'string') return new RegExp(plain.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&'), 'gu');
  if (typeof source !== 'string') throw new UnknownPart('a pattern that is neither text nor expression');
  const split = { type: 'Split', pattern: { Regex: source }, behavior: 'Isolated', invert: false };
  let found: unknown;
  try {
    // A part is a function with members; the library's declarations are not seen by every compiler.
    const made: { readonly pre_tokenizer: unknown } = new library.Tokenizer({ ...nothing, pre_tokenizer: split }, {});
    found = Reflect.get(Object(made.pre_tokenizer), 'pattern');
  } catch {
    found = null;
  }
  if (found instanceof RegExp) return found;
  throw new UnknownPart(`the expression ${source.slice(0, 40)}`);
}

/** A tokenizer with nothing in it, for the library to read one part. */
const nothing = {
  added_tokens: [],
  normalizer: null,
  post_processor: null,
  decoder: null,
  model: { type: 'WordPiece', vocab: {}, unk_token: '' },
};

/** Where an expression is found; an empty find right behind another is none, as in Oniguruma's loop. */
export function rangesOf(text: string, pattern: RegExp): Offset[] {
  const ranges: Offset[] = [];
  let last = -1;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    const end = index + found.length;
    if (end > index || index !== last) ranges.push([index, end]);
    last = end;
  }
  return ranges;
}

export function matchesOf(text: string, pattern: RegExp): Match[] {
  const matches: Match[] = [];
  let last = 0;
  for (const [start, end] of rangesOf(text, pattern)) {
    if (start > last) matches.push({ start: last, end: start, found: false });
    matches.push({ start, end, found: true });
    last = end;
  }
  if (last < text.length) matches.push({ start: last, end: text.length, found: false });
  return matches;
}

/** What becomes of what was found when a text is split at it. */
export type Behaviour = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

export function behaviourOf(value: unknown): Behaviour {
  const known: readonly Behaviour[] = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];
  const behaviour = known.find((name) => name === value);
  if (behaviour) return behaviour;
  throw new UnknownPart(`the split ${String(value).slice(0, 40)}`);
}

/** The ranges of the parts. */
export function splitAt(matches: readonly Match[], behaviour: Behaviour): Offset[] {
  const whole = ({ start, end }: Match): Offset => [start, end];
  if (behaviour === 'Isolated') return matches.map(whole);
  if (behaviour === 'Removed') return matches.filter(({ found }) => !found).map(whole);
  if (behaviour === 'MergedWithNext')
    return joined(matches.toReversed(), (match, before) => match.found && !before).reverse();
  if (behaviour === 'MergedWithPrevious') return joined(matches, (match, before) => match.found && !before);
  return joined(matches, (match, before) => match.found === before);
}

/** Neighbours made one where `join` says so, which hears whether the one before was found. */
function joined(matches: readonly Match[], join: (match: Match, before: boolean) => boolean): Offset[] {
  const ranges: Offset[] = [];
  let before = false;
  for (const match of matches) {
    const last = ranges.at(-1);
    if (last && join(match, before)) {
      ranges[ranges.length - 1] = [Math.min(last[0], match.start), Math.max(last[1], match.end)];
    } else ranges.push([match.start, match.end]);
    before = match.found;
  }
  return ranges;
}
