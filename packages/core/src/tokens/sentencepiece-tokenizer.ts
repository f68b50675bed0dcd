import { CircuitscopeError } from '@circuitscope/schema';
import type { Offset } from './byte-level-offsets.ts';
import { mergePairs } from './merge-pairs.ts';
import { bosOf } from './missing-bos.ts';
import { surrounded } from './surrounded.ts';
import { textTooLong } from './text-too-long.ts';
import type { Tokenizer } from './tokenizer.ts';
import { unknownToken } from './unknown-token.ts';

const TEXT_LENGTH = 4_000_000;
const SPACE = '▁';

export interface SentencePieces {
  readonly pieces: readonly string[];
  /** Of each piece; of two merges the one whose result has the higher score comes first. */
  readonly scores: readonly number[];
  /** `byte`: `<0x0A>`; `control`: never written as text; `literal`: stands for its own spelling, wherever that occurs. */
  readonly kinds: readonly ('normal' | 'byte' | 'control' | 'literal' | 'unknown')[];
  readonly bosId: number | null;
  readonly eosId: number | null;
  /** Whether they are put around a text with `bos: 'auto'`. */
  readonly adds: { readonly bos: boolean; readonly eos: boolean };
  /** A space before a text, and before what follows a control token. */
  readonly spacePrefix: boolean;
}

/** One character of a text as it is read: its own, or the space that is put before it. */
interface Symbol {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Byte-pair merges by score over characters, spaces written as ▁; a character that no merge took in and that is no piece becomes
 * its bytes, where the vocabulary has them, else the unknown token. Control and literal pieces are looked for first, the
 * longest at each place. Kudo and Richardson 2018; Llama's vocabularies.
 *
 * @throws CircuitscopeError `bad_tokenizer`
 */
export function sentencePieceTokenizer(vocabulary: SentencePieces, at: string): Tokenizer {
  const { pieces, scores, kinds, bosId, eosId, adds, spacePrefix } = vocabulary;
  const ids = new Map<string, number>();
  const bytes = new Map<number, number>();
  pieces.forEach((piece, id) => {
    if (kinds[id] === 'byte') bytes.set(byteOf(piece, `${at}: token ${id}`), id);
    else if ((kinds[id] === 'normal' || kinds[id] === 'literal') && !ids.has(piece)) ids.set(piece, id);
  });
  const byteOfId = new Map([...bytes].map(([byte, id]) => [id, byte]));
  const unknown = kinds.indexOf('unknown');
  const whole = new Map(
    pieces.flatMap((piece, id) => (isWhole(kinds[id]) && piece !== '' ? [[piece, id] as const] : [])),
  );
  const wholes = wholePattern([...whole.keys()]);

  const pieceAt = (id: number): string => {
    const piece = pieces[id];
    if (piece === undefined) throw unknownToken(at, id, pieces.length);
    return piece;
  };

  const merged = (symbols: readonly Symbol[], out: { ids: number[]; offsets: Offset[] }): void => {
    // What is no piece by itself has an id of its own behind the vocabulary, so that it can take part in merges.
    const others: string[] = [];
    const spelling = (id: number): string => pieces[id] ?? others[id - pieces.length] ?? '';
    const first = symbols.map(({ text }) => ids.get(text) ?? pieces.length + others.push(text) - 1);
    const found = mergePairs(first, (left, right) => {
      const id = ids.get(spelling(left) + spelling(right));
      return id === undefined ? undefined : { id, score: scores[id] ?? 0 };
    });
    let place = 0;
    for (const id of found) {
      const count = [...spelling(id)].length;
      const range: Offset = [symbols[place]?.start ?? 0, symbols[place + count - 1]?.end ?? 0];
      place += count;
      for (const one of id < pieces.length ? [id] : idsOfCharacter(spelling(id))) {
        out.ids.push(one);
        out.offsets.push(range);
      }
    }
  };

  const idsOfCharacter = (character: string): number[] => {
    const utf8 = [...new TextEncoder().encode(character)];
    const found = utf8.flatMap((byte) => bytes.get(byte) ?? []);
    if (found.length === utf8.length) return found;
    if (unknown >= 0) return [unknown];
    throw unknownToken(at, character, pieces.length);
  };

  const read = (text: string): { ids: number[]; offsets: Offset[] } => {
    if (text.length > TEXT_LENGTH) throw textTooLong(at, text.length, TEXT_LENGTH);
    const out = { ids: [] as number[], offsets: [] as Offset[] };
    let from = 0;
    for (const match of wholes ? text.matchAll(wholes) : []) {
      merged(symbolsOf(text, from, match.index, spacePrefix), out);
      from = match.index + match[0].length;
      out.ids.push(whole.get(match[0]) ?? 0);
      out.offsets.push([match.index, from]);
    }
    merged(symbolsOf(text, from, text.length, spacePrefix), out);
    return out;
  };

  return {
    kind: 'sentencepiece',
    size: pieces.length,
    bosId,
    encode(text, { bos = 'auto' } = {}) {
      const { ids: found } = read(text);
      if (bos === 'never') return found;
      const first = bos === 'always' || adds.bos ? [bosOf(bosId, at)] : [];
      return [...first, ...found, ...(adds.eos && eosId !== null ? [eosId] : [])];
    },
    offsets(text, { bos = 'auto' } = {}) {
      const { offsets } = read(text);
      if (bos === 'never') return offsets;
      const hasFirst = bos === 'always' || adds.bos;
      if (hasFirst) bosOf(bosId, at);
      return surrounded(offsets, hasFirst ? 1 : 0, adds.eos && eosId !== null ? 1 : 0);
    },
    decode(list) {
      const parts = list.map((id) => {
        const piece = pieceAt(id);
        if (kinds[id] === 'control' || kinds[id] === 'unknown') return new Uint8Array();
        const byte = byteOfId.get(id);
        return byte === undefined ? new TextEncoder().encode(piece.replaceAll(SPACE, ' ')) : Uint8Array.of(byte);
      });
      const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(
        Uint8Array.from(parts.flatMap((part) => [...part])),
      );
      return spacePrefix && text.startsWith(' ') ? text.slice(1) : text;
    },
    token: pieceAt,
  };
}

const isWhole = (kind: SentencePieces['kinds'][number] | undefined): boolean =>
  kind === 'control' || kind === 'literal' || kind === 'unknown';

/** The longest at each place; every alternative is plain text. */
function wholePattern(texts: readonly string[]): RegExp | null {
  if (texts.length === 0) return null;
  const escaped = [...texts]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return new RegExp(escaped.join('|'), 'gu');
}

/** The characters of a part of a text; the space before it has the place of the first of them. */
function symbolsOf(text: string, from: number, to: number, spacePrefix: boolean): Symbol[] {
  const symbols: Symbol[] = [];
  let start = from;
  for (const character of text.slice(from, to)) {
    const end = start + character.length;
    if (spacePrefix && symbols.length === 0) symbols.push({ text: SPACE, start, end });
    symbols.push({ text: character === ' ' ? SPACE : character, start, end });
    start = end;
  }
  return symbols;
}

function byteOf(piece: string, at: string): number {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
  if (digits !== undefined) return Number.parseInt(digits, 16);
  throw new CircuitscopeError('bad_tokenizer', `${at} is called a byte and spelled otherwise; check the tokenizer.`, {
    at,
    expected: '<0x00> to <0xFF>',
    got: piece.slice(0, 40),
  });
}
