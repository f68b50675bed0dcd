import type { Offset } from '../byte-level-offsets.ts';
import { listOf, member } from '../json-part.ts';
import { nameOf, UnknownPart } from './unknown-part.ts';

/** What a `post_processor` of tokenizer.json does to a text's tokens. */
export interface PostProcessing {
  /** The ids that are put before and behind them. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Takes the spaces at both ends of a token out of its range, where the file wants that. */
  readonly trim: (token: PlacedToken) => Offset;
}

export interface PlacedToken {
  /** The text that the range is of. */
  readonly text: string;
  readonly offset: Offset;
  readonly spelling: string;
  readonly isFirst: boolean;
}

const none: PostProcessing = { before: [], after: [], trim: ({ offset }) => offset };

/** @throws UnknownPart */
export function postProcessingOf(part: unknown): PostProcessing {
  if (part === null || part === undefined) return none;
  const type = nameOf(member(part, 'type'));
  if (type === 'TemplateProcessing') return template(part);
  if (type === 'BertProcessing') return { ...none, before: [pairId(part, 'cls')], after: [pairId(part, 'sep')] };
  if (type === 'RobertaProcessing')
    return { ...trimming(part), before: [pairId(part, 'cls')], after: [pairId(part, 'sep')] };
  if (type === 'ByteLevel') return trimming(part);
  if (type === 'Sequence') return listOf(member(part, 'processors')).map(postProcessingOf).reduce(inTurn, none);
  throw new UnknownPart(`the post-processor ${type || 'without a name'}`);
}

function inTurn(first: PostProcessing, then: PostProcessing): PostProcessing {
  return {
    before: [...then.before, ...first.before],
    after: [...first.after, ...then.after],
    trim: (token) => then.trim({ ...token, offset: first.trim(token) }),
  };
}

function template(part: unknown): PostProcessing {
  const before: number[] = [];
  const after: number[] = [];
  let texts = 0;
  for (const piece of listOf(member(part, 'single'))) {
    const special = member(member(piece, 'SpecialToken'), 'id');
    if (typeof special === 'string') (texts === 0 ? before : after).push(...idsOfSpecial(part, special));
    else if (member(member(piece, 'Sequence'), 'id') === 'A') texts++;
    else throw new UnknownPart('a template with a piece of its own kind');
  }
  if (texts !== 1) throw new UnknownPart(`a template with ${texts} places for the text`);
  return { ...none, before, after };
}

function idsOfSpecial(part: unknown, name: string): number[] {
  const ids = listOf(member(member(member(part, 'special_tokens'), name), 'ids'));
  const known = ids.filter((id): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0);
  if (known.length > 0 && known.length === ids.length) return known;
  throw new UnknownPart('a template with a token that it does not name');
}

/** Older files write `["[CLS]", 101]`. */
function pairId(part: unknown, key: string): number {
  const [, id] = listOf(member(part, key));
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0) return id;
  throw new UnknownPart(`${nameOf(member(part, 'type'))} without ${key}`);
}

/** Spaces as text or as byte letters. One at the beginning of a text stays, where it could be the one that was put there. */
function trimming(part: unknown): PostProcessing {
  if (member(part, 'trim_offsets') === false) return none;
  const spaced = member(part, 'add_prefix_space') !== false;
  return {
    ...none,
    trim({ text, offset: [start, end], spelling, isFirst }) {
      let left = /^[\u0120\p{White_Space}]*/u.exec(spelling)?.[0].length ?? 0;
      const right = spelling.length - spelling.replace(/[\u0120\p{White_Space}]+$/u, '').length;
      if (left === 1 && spaced && (isFirst || start === 0)) left = 0;
      let [from, to] = [start, end];
      for (let i = 0; i < left && from < end; i++) from += isPair(text, from) ? 2 : 1;
      for (let i = 0; i < right && to > from; i++) to -= isPair(text, to - 2) ? 2 : 1;
      return [from, to];
    },
  };
}

/** Whether the character at a place is two units long. */
const isPair = (text: string, at: number): boolean => (text.codePointAt(at) ?? 0) > 0xffff;
