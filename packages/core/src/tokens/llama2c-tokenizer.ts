import { CircuitscopeError } from '@circuitscope/schema';
import { readWhole } from '../checkpoints/read-bytes.ts';
import { byteLevelOffsets, type Offset } from './byte-level-offsets.ts';
import { mergePairs } from './merge-pairs.ts';
import { surrounded } from './surrounded.ts';
import { textTooLong } from './text-too-long.ts';
import type { Tokenizer } from './tokenizer.ts';
import { unknownToken } from './unknown-token.ts';

const limits = { fileBytes: 32_000_000, textLength: 4_000_000 } as const;
const BOS = 1;
/** Byte b is the token b + 3, after <unk>, <s> and </s>. */
const FIRST_BYTE = 3;

export interface Llama2cTokenizer extends Tokenizer {
  readonly kind: 'llama2c';
  /** The bytes of the ids: exact also where a token is a part of a character. */
  decodeBytes(ids: readonly number[]): Uint8Array;
}

interface Piece {
  /** The spelling as one character per byte, so that pieces that are no UTF-8 can be keys and be joined. */
  readonly key: string;
  readonly score: number;
}

/** Opens the tokenizer that llama2.c writes. @throws CircuitscopeError `bad_tokenizer`, `missing_file`, `too_large`. */
export function openLlama2cTokenizer(path: string): Llama2cTokenizer {
  return parseLlama2cTokenizer(readWhole(path, limits.fileBytes), path);
}

/**
 * llama2.c's tokenizer.bin: int32 length of the longest token, then for each id float32 score, int32 length, bytes, up to the
 * end of the file. Encoding is the one of its run.c: a space before a text that is not empty, characters, or their bytes
 * where the vocabulary lacks them, then byte-pair merges by score. Decoding drops the space that follows BOS, and BOS.
 */
export function parseLlama2cTokenizer(bytes: Uint8Array, at: string): Llama2cTokenizer {
  const pieces = readPieces(bytes, at);
  const ids = new Map<string, number>();
  pieces.forEach(({ key }, id) => {
    if (!ids.has(key)) ids.set(key, id);
  });
  const decoded = pieces.map(({ key }) => bytesOfPiece(key));

  const pieceAt = (id: number): Piece => {
    const piece = pieces[id];
    if (!piece) throw unknownToken(at, id, pieces.length);
    return piece;
  };

  const idOfByte = (byte: number): number => {
    const id = FIRST_BYTE + byte;
    const spelling = decoded[id];
    if (spelling?.length === 1 && spelling[0] === byte) return id;
    throw unknownToken(at, `the byte ${byte}`, pieces.length);
  };

  const idsOfCharacter = (character: string): number[] => {
    const utf8 = new TextEncoder().encode(character);
    const id = ids.get(keyOf(utf8));
    return id === undefined ? Array.from(utf8, idOfByte) : [id];
  };

  const decodeBytes = (list: readonly number[]): Uint8Array => {
    const parts: Uint8Array[] = [];
    list.forEach((id, i) => {
      pieceAt(id);
      if (id === BOS) return;
      const part = decoded[id]!;
      const afterBos = list[i - 1] === BOS && part[0] === 0x20;
      parts.push(afterBos ? part.subarray(1) : part);
    });
    return joined(parts);
  };

  const encode: Tokenizer['encode'] = (text, options = {}) => {
    if (text.length > limits.textLength) throw textTooLong(at, text.length, limits.textLength);
    const start = options.bos === 'never' ? [] : [BOS];
    if (text === '') return start;
    const symbols: number[] = [];
    for (const character of ` ${text}`) symbols.push(...idsOfCharacter(character));
    const merged = mergePairs(symbols, (left, right) => {
      const id = ids.get(pieces[left]!.key + pieces[right]!.key);
      return id === undefined ? undefined : { id, score: pieces[id]!.score };
    });
    return [...start, ...merged];
  };

  return {
    kind: 'llama2c',
    size: pieces.length,
    bosId: BOS,
    encode,
    offsets(text, { bos = 'auto' } = {}) {
      const before = bos === 'never' ? 0 : 1;
      if (text === '') return surrounded([], before);
      const [first = ''] = text;
      const spellings = encode(text, { bos: 'never' }).map((id) => ({
        text: 'b'.repeat(decoded[id]!.length),
        literal: false,
      }));
      // The space before the text has the place of the first character.
      const places = byteLevelOffsets(` ${text}`, spellings, at).map(
        ([start, end]): Offset => [Math.max(start - 1, 0), Math.max(end - 1, first.length)],
      );
      return surrounded(places, before);
    },
    decodeBytes,
    decode: (list) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(decodeBytes(list)),
    token: (id) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOfKey(pieceAt(id).key)),
  };
}

function readPieces(bytes: Uint8Array, at: string): readonly Piece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw bad(at, 'it is too short', 'at least 4 bytes', `${bytes.length} bytes`);
  const longest = view.getInt32(0, true);
  const pieces: Piece[] = [];
  for (let from = 4; from < bytes.length; ) {
    const place = `${at}: token ${pieces.length}`;
    if (from + 8 > bytes.length) throw bad(place, 'it is cut off', '8 bytes', `${bytes.length - from} bytes`);
    const score = view.getFloat32(from, true);
    const length = view.getInt32(from + 4, true);
    from += 8;
    if (!Number.isFinite(score)) throw bad(place, 'the score is not finite', 'a number', String(score));
    const most = Math.min(longest, bytes.length - from);
    if (length < 0 || length > most) throw bad(place, 'the length does not fit', `0 to ${most}`, String(length));
    pieces.push({ score, key: keyOf(bytes.subarray(from, from + length)) });
    from += length;
  }
  if (pieces.length <= BOS)
    throw bad(at, 'it has no beginning-of-text token', 'at least 2 tokens', `${pieces.length} tokens`);
  return pieces;
}

/** `<0x0A>` is the byte 10; every other piece is its own spelling. */
function bytesOfPiece(key: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(key)?.[1];
  return byte === undefined ? bytesOfKey(key) : Uint8Array.of(Number.parseInt(byte, 16));
}

function keyOf(bytes: Uint8Array): string {
  let key = '';
  for (const byte of bytes) key += String.fromCharCode(byte);
  return key;
}

const bytesOfKey = (key: string) => Uint8Array.from(key, (character) => character.charCodeAt(0));

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_tokenizer',
    `${at} is not a llama2.c tokenizer: ${what}; check that it is the right file.`,
    {
      at,
      expected,
      got,
    },
  );
}
