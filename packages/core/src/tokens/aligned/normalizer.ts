import { listOf, member } from '../json-part.ts';
import type { AlignedText, Rewrite } from './aligned-text.ts';
import { charsmapRewrites, openCharsmap } from './charsmap.ts';
import { patternOf, rangesOf } from './matches.ts';
import { inUnicodeForm } from './unicode-form.ts';
import { nameOf, UnknownPart } from './unknown-part.ts';
import { control, mark, nonspacing } from './young-characters.ts';

export type Normalizer = (source: AlignedText) => AlignedText;

/** What a `normalizer` of tokenizer.json does to a text and its places. @throws UnknownPart */
export function normalizerOf(part: unknown): Normalizer {
  if (part === null || part === undefined) return (source) => source;
  const type = nameOf(member(part, 'type'));
  const make = Object.hasOwn(makers, type) ? makers[type] : undefined;
  if (make) return make(part);
  throw new UnknownPart(`the normalizer ${type || 'without a name'}`);
}

const makers: { readonly [type: string]: (part: unknown) => Normalizer } = {
  NFC: () => (source) => inUnicodeForm(source, 'NFC'),
  NFD: () => (source) => inUnicodeForm(source, 'NFD'),
  NFKC: () => (source) => inUnicodeForm(source, 'NFKC'),
  NFKD: () => (source) => inUnicodeForm(source, 'NFKD'),
  Lowercase: () => (source) => lowercase(source),
  StripAccents: () => (source) => filtered(source, mark),
  // SentencePiece's own: control characters go, what parts words or has no width becomes a space.
  Nmt: () => (source) =>
    filtered(source, nmtControl).mapped((character) => (nmtSpace.test(character) ? ' ' : character)),
  Strip: (part) => {
    const [left, right] = [member(part, 'strip_left') === true, member(part, 'strip_right') === true];
    return (source) => {
      const start = left ? (/^\p{White_Space}*/u.exec(source.text)?.[0].length ?? 0) : 0;
      const rest = source.text.slice(start);
      // By hand from the end: an expression would try at each space.
      let end = rest.length;
      while (right && end > 0 && /\p{White_Space}/u.test(rest[end - 1] ?? '')) end--;
      return source.replaced(
        [
          [0, start],
          [start + end, source.text.length],
        ],
        '',
      );
    };
  },
  Prepend: (part) => {
    const content = textOf(part, 'prepend');
    return (source) => source.prepended(content);
  },
  Replace: (part) => {
    const [pattern, content] = [patternOf(member(part, 'pattern')), textOf(part, 'content')];
    return (source) => {
      const ranges = rangesOf(source.text, pattern);
      return ranges.length === 0 ? source : source.replaced(ranges, content);
    };
  },
  Precompiled: (part) => {
    const replacement = openCharsmap(textOf(part, 'precompiled_charsmap'));
    return (source) => {
      const { rewrites, removed } = charsmapRewrites(source.text, replacement);
      return source.rewritten(rewrites, removed);
    };
  },
  BertNormalizer: bert,
  Sequence: (part) => {
    const steps = listOf(member(part, 'normalizers')).map(normalizerOf);
    return (source) => steps.reduce((text, step) => step(text), source);
  },
};

const nmtControl = /[\p{Cc}--[\0\t\n\f\r\u{80}-\u{8e}\u{90}-\u{9e}]]/v;
const nmtSpace = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/;

function bert(part: unknown): Normalizer {
  const is = (key: string, usual: boolean) => member(part, key) ?? usual;
  const lower = is('lowercase', true) === true;
  const [clean, chinese] = [is('clean_text', true) === true, is('handle_chinese_chars', true) === true];
  const strip = is('strip_accents', lower) === true;
  return (given) => {
    let source = given;
    if (clean) {
      source = filtered(source, control);
      source = source.mapped((character) => (/\p{White_Space}/u.test(character) ? ' ' : character));
    }
    if (chinese) source = spaced(source);
    if (strip) source = filtered(inUnicodeForm(source, 'NFD'), nonspacing);
    return lower ? lowercase(source) : source;
  };
}

/** Ideographs of BERT's list; one of its blocks begins 256 characters late, in the reference too. */
const ideograph =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u;

function spaced(source: AlignedText): AlignedText {
  if (!ideograph.test(source.text)) return source;
  const rewrites = Array.from(source.text, (character): Rewrite[] =>
    ideograph.test(character)
      ? [
          [' ', 0],
          [character, 1],
          [' ', 1],
        ]
      : [[character, 0]],
  );
  return source.rewritten(rewrites.flat());
}

/** Character by character: no letter looks at its neighbours (a final sigma stays σ). */
const lowercase: Normalizer = (source) =>
  source.text.toLowerCase() === source.text ? source : source.mapped((character) => character.toLowerCase());

const filtered = (source: AlignedText, refused: RegExp): AlignedText =>
  refused.test(source.text) ? source.filtered((character) => !refused.test(character)) : source;

function textOf(part: unknown, key: string): string {
  const text = member(part, key);
  if (typeof text === 'string') return text.toWellFormed();
  throw new UnknownPart(`${nameOf(member(part, 'type'))} without ${key}`);
}
