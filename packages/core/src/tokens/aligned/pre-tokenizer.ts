import { listOf, member } from '../json-part.ts';
import type { AlignedText } from './aligned-text.ts';
import { byteLetters } from './byte-letters.ts';
import { type Behaviour, behaviourOf, type Match, matchesOf, patternOf, splitAt } from './matches.ts';
import { nameOf, UnknownPart } from './unknown-part.ts';
import { punctuation } from './young-characters.ts';

export type PreTokenizer = (source: AlignedText) => readonly AlignedText[];

/** How a `pre_tokenizer` of tokenizer.json splits a text into words. @throws UnknownPart */
export function preTokenizerOf(part: unknown): PreTokenizer {
  if (part === null || part === undefined) return (source) => [source];
  const type = nameOf(member(part, 'type'));
  const make = Object.hasOwn(makers, type) ? makers[type] : undefined;
  if (make) return make(part);
  throw new UnknownPart(`the pre-tokenizer ${type || 'without a name'}`);
}

const makers: { readonly [type: string]: (part: unknown) => PreTokenizer } = {
  BertPreTokenizer: () => inTurn([at(whiteSpace, 'Removed'), at(punctuation, 'Isolated')]),
  ByteLevel: (part) => {
    const [spaced, split] = [member(part, 'add_prefix_space') !== false, member(part, 'use_regex') !== false];
    const cut = split ? at(patternOf({ Regex: gpt2Words }), 'Isolated') : whole;
    return (source) =>
      cut(spaced && !source.text.startsWith(' ') ? source.prepended(' ') : source).map((word) =>
        word.mapped(byteLetters),
      );
  },
  // A number is a word, or each of its digits one. Rust's numeric is Unicode's N.
  Digits: (part) => at(/\p{N}/gu, member(part, 'individual_digits') === true ? 'Isolated' : 'Contiguous'),
  FixedLength: (part) => fixedLength(member(part, 'length') ?? 5),
  Metaspace: metaspace,
  Punctuation: (part) => at(punctuation, behaviourOf(member(part, 'behavior') ?? 'Isolated')),
  Sequence: (part) => inTurn(listOf(member(part, 'pretokenizers')).map(preTokenizerOf)),
  Split: (part) => {
    const [pattern, behaviour] = [patternOf(member(part, 'pattern')), behaviourOf(member(part, 'behavior'))];
    return at(pattern, behaviour, member(part, 'invert') === true);
  },
  Whitespace: () => at(words, 'Removed', true),
  WhitespaceSplit: () => at(whiteSpace, 'Removed'),
};

const whole: PreTokenizer = (source) => [source];
const whiteSpace = /\p{White_Space}/gu;
// Rust's \w counts the joiners in.
const words =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;
const gpt2Words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function at(pattern: RegExp, behaviour: Behaviour, invert = false): PreTokenizer {
  const turned = (match: Match): Match => (invert ? { ...match, found: !match.found } : match);
  return (source) => {
    const ranges = splitAt(matchesOf(source.text, pattern).map(turned), behaviour);
    return ranges.flatMap(([start, end]) => (start < end ? [source.slice(start, end)] : []));
  };
}

/** One after the other, each on the words of the one before. */
const inTurn =
  (steps: readonly PreTokenizer[]): PreTokenizer =>
  (source) =>
    steps.reduce<readonly AlignedText[]>((words, step) => words.flatMap(step), [source]);

/** Spaces are written ▁, one is put before a text; each begins a word. */
function metaspace(part: unknown): PreTokenizer {
  const mark = character(part, 'replacement');
  const declared = member(part, 'prepend_scheme') ?? 'always';
  const scheme = member(part, 'add_prefix_space') === false ? 'never' : declared;
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never')
    throw new UnknownPart(`the prepend_scheme ${String(scheme).slice(0, 40)}`);
  const cut = member(part, 'split') === false ? whole : at(patternOf({ String: mark }), 'MergedWithNext');
  return (source) => {
    const marked = source.mapped((letter) => (letter === ' ' ? mark : letter));
    const before = scheme === 'always' || (scheme === 'first' && source.from === 0);
    return cut(before && !marked.text.startsWith(mark) ? marked.prepended(mark) : marked);
  };
}

function fixedLength(length: unknown): PreTokenizer {
  if (typeof length !== 'number' || !Number.isInteger(length) || length < 1)
    throw new UnknownPart('FixedLength without a length');
  return (source) => {
    const words: AlignedText[] = [];
    let [start, end, count] = [0, 0, 0];
    for (const letter of source.text) {
      end += letter.length;
      if (++count % length !== 0) continue;
      words.push(source.slice(start, end));
      start = end;
    }
    return start < end ? [...words, source.slice(start, end)] : words;
  };
}

/** One character of a part. */
function character(part: unknown, key: string): string {
  const text = member(part, key);
  if (typeof text === 'string' && [...text].length === 1) return text.toWellFormed();
  throw new UnknownPart(`${nameOf(member(part, 'type'))} without ${key}`);
}
