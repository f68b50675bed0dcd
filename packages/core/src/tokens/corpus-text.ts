import { CircuitscopeError } from '@circuitscope/schema';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readBytes } from '../checkpoints/read-bytes.ts';

const PIECE = 1 << 20;
/** The longest line in bytes. */
const MAX_LINE = 1 << 24;

export interface CorpusLine {
  readonly line: string;
  /** Counted from 1. */
  readonly number: number;
  /** The byte behind it. */
  readonly end: number;
}

/** Lines of a UTF-8 file, read a mebibyte at a time. @throws CircuitscopeError `bad_corpus` for bytes that are no text */
export function* lines(path: string, bytes: number): Generator<CorpusLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  let rest = new Uint8Array(0);
  let number = 0;
  let start = 0;
  const text = (line: Uint8Array): string => {
    const end = line.at(-1) === 13 ? line.length - 1 : line.length;
    try {
      return decoder.decode(line.subarray(0, end));
    } catch (cause) {
      throw new CircuitscopeError('bad_corpus', `Line ${number} of ${path} is no UTF-8 text.`, {
        at: `${path}:${number}`,
        cause,
      });
    }
  };
  for (let from = 0; from < bytes; from += PIECE) {
    const piece = readBytes(path, from, Math.min(PIECE, bytes - from));
    const joined = new Uint8Array(rest.length + piece.length);
    joined.set(rest);
    joined.set(piece, rest.length);
    let at = 0;
    for (let end = joined.indexOf(10); end >= 0; end = joined.indexOf(10, at)) {
      number += 1;
      yield { line: text(joined.subarray(at, end)), number, end: start + end + 1 };
      at = end + 1;
    }
    rest = joined.slice(at);
    start += at;
    if (rest.length > MAX_LINE) {
      throw new CircuitscopeError(
        'too_large',
        `Line ${number + 1} of ${path} is longer than ${MAX_LINE} bytes; break it.`,
        {
          at: `${path}:${number + 1}`,
          expected: `at most ${MAX_LINE} bytes`,
        },
      );
    }
  }
  if (rest.length === 0) return;
  number += 1;
  yield { line: text(rest), number, end: bytes };
}

/** The text of a JSON line, or the ids that it lists, in one of its fields. */
export function jsonDocument(line: string, at: string, field: string): string | readonly number[] {
  const parsed = parseJson(new TextEncoder().encode(line), { code: 'bad_corpus', at });
  const value: unknown =
    typeof parsed === 'object' && parsed !== null && Object.hasOwn(parsed, field)
      ? Reflect.get(parsed, field)
      : undefined;
  return textOrIds(value, at, field);
}

export function textOrIds(value: unknown, at: string, field: string): string | readonly number[] {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView) && 'length' in value)
    return Array.from(value as Int32Array, Number);
  if (Array.isArray(value) && value.every((id) => typeof id === 'number' || typeof id === 'bigint'))
    return value.map(Number);
  throw new CircuitscopeError(
    'bad_corpus',
    `${at} has no text and no list of ids in its field ${field}; name the field.`,
    {
      at,
      expected: `text or ids in ${field}`,
      got: value === undefined ? 'nothing' : typeof value,
    },
  );
}
