import { CircuitscopeError } from '@circuitscope/schema';
import type { BlockDtype } from './block-dtypes.ts';
import { blockFormats, isBlockDtype } from './block-dtypes.ts';
import type { ByteSource } from './byte-source.ts';
import { bytesOfEntries, type StoredDtype, type StoredTensor } from './checkpoint.ts';

/** A value of a GGUF file's metadata; 64-bit integers beyond ±(2⁵³ − 1) are refused. */
export type GgufValue = number | boolean | string | readonly number[] | readonly boolean[] | readonly string[];

export interface Gguf {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of their bytes. Shapes are row-major: the file's dimensions, turned round. */
  readonly tensors: readonly StoredTensor[];
}

/** Limits that no honest file meets; vocabularies of 260,000 tokens with their merges take some 16 MB. */
export const ggufLimits = {
  headerBytes: 1 << 27,
  entries: 65_536,
  nameLength: 1024,
  rank: 4,
  textBytes: 1 << 24,
} as const;

const types: ReadonlyMap<number, StoredDtype | BlockDtype> = new Map<number, StoredDtype | BlockDtype>([
  [0, 'f32'],
  [1, 'f16'],
  [2, 'q4_0'],
  [3, 'q4_1'],
  [6, 'q5_0'],
  [7, 'q5_1'],
  [8, 'q8_0'],
  [10, 'q2_k'],
  [11, 'q3_k'],
  [12, 'q4_k'],
  [13, 'q5_k'],
  [14, 'q6_k'],
  [24, 'i8'],
  [25, 'i16'],
  [26, 'i32'],
  [27, 'i64'],
  [28, 'f64'],
  [30, 'bf16'],
]);

/**
 * The header of a GGUF file, version 2 or 3: metadata, and where each tensor lies. Weights are not read.
 *
 * @throws CircuitscopeError `bad_gguf`.
 */
export function readGguf(source: ByteSource): Gguf {
  // Nothing says how long the header is, so ever larger beginnings of the file are tried.
  for (let length = 1 << 20; ; length *= 8) {
    const known = Math.min(length, source.length, ggufLimits.headerBytes);
    try {
      return new Reader(source.read(0, known), source).run();
    } catch (error) {
      const cut = error instanceof CircuitscopeError && error.code === 'truncated';
      if (!cut) throw error;
      if (known === source.length)
        throw bad(source.at, 'the header is cut off', error.expected ?? '', `${known} bytes`);
      if (known === ggufLimits.headerBytes)
        throw bad(source.at, 'the header is too long', `at most ${known} bytes`, 'more');
    }
  }
}

interface Listed {
  readonly name: string;
  readonly dtype: StoredDtype | BlockDtype;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #source: ByteSource;
  #place = 0;

  constructor(bytes: Uint8Array, source: ByteSource) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
  }

  run(): Gguf {
    const { at } = this.#source;
    if (this.#source.length < 24 || this.#u32() !== 0x46554747)
      throw bad(at, 'it does not begin like one', 'GGUF', 'something else');
    const version = this.#u32();
    if (version !== 2 && version !== 3)
      throw bad(at, 'its version is not read here', '2 or 3, little-endian', `${version}`);
    const tensorCount = this.#count('tensors', 24);
    const entryCount = this.#count('metadata', 12);
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < entryCount; i++) {
      const key = this.#text(ggufLimits.nameLength);
      if (metadata.has(key)) throw bad(`${at}: ${key}`, 'a key stands there twice', 'keys that differ', key);
      metadata.set(key, this.#value(this.#u32(), `${at}: ${key}`));
    }
    const listed: Listed[] = [];
    const names = new Set<string>();
    for (let i = 0; i < tensorCount; i++) {
      const tensor = this.#tensor();
      if (names.has(tensor.name))
        throw bad(`${at}: ${tensor.name}`, 'two tensors have one name', 'names that differ', '2');
      names.add(tensor.name);
      listed.push(tensor);
    }
    return { version, metadata, tensors: this.#placed(listed, alignmentOf(metadata, at)) };
  }

  /** A number of things of at least `least` bytes each: as many as the file can hold. */
  #count(what: string, least: number): number {
    const count = this.#u64();
    const most = Math.min(ggufLimits.entries, Math.floor((this.#source.length - this.#place) / least));
    if (count <= most) return count;
    throw bad(this.#source.at, `the number of ${what} is impossible`, `at most ${most}`, `${count}`);
  }

  #value(type: number, at: string): GgufValue {
    if (type === 9) return this.#array(at);
    if (type === 8) return this.#text(ggufLimits.textBytes);
    if (type === 7) return this.#flag(at);
    return this.#number(type, at);
  }

  #array(at: string): GgufValue {
    const type = this.#u32();
    const width = type === 8 ? 8 : (widths[type] ?? 0);
    if (width === 0) throw bad(at, 'its entries have an unknown type', 'numbers, truth values or text', `type ${type}`);
    const count = this.#u64();
    const left = this.#source.length - this.#place;
    if (count > Math.floor(left / width))
      throw bad(at, 'a list is longer than the file', `${left} bytes`, `${count} entries`);
    if (this.#place + count * width > this.#bytes.length) this.#take(count * width);
    const made = <T>(one: () => T): T[] => {
      const items: T[] = [];
      for (let i = 0; i < count; i++) items.push(one());
      return items;
    };
    if (type === 8) return made(() => this.#text(ggufLimits.textBytes));
    if (type === 7) return made(() => this.#flag(at));
    return made(() => this.#number(type, at));
  }

  #number(type: number, at: string): number {
    const from = (bytes: number): number => this.#take(bytes);
    switch (type) {
      case 0:
        return this.#view.getUint8(from(1));
      case 1:
        return this.#view.getInt8(from(1));
      case 2:
        return this.#view.getUint16(from(2), true);
      case 3:
        return this.#view.getInt16(from(2), true);
      case 4:
        return this.#u32();
      case 5:
        return this.#view.getInt32(from(4), true);
      case 6:
        return this.#view.getFloat32(from(4), true);
      case 10:
        return this.#u64();
      case 11: {
        const value = this.#view.getBigInt64(from(8), true);
        if (BigInt.asIntN(54, value) === value) return Number(value);
        throw bad(at, 'a number is too large', 'less than 2⁵³', String(value));
      }
      case 12:
        return this.#view.getFloat64(from(8), true);
      default:
        throw bad(at, 'its type is unknown', '0 to 12', `${type}`);
    }
  }

  #flag(at: string): boolean {
    const byte = this.#view.getUint8(this.#take(1));
    if (byte <= 1) return byte === 1;
    throw bad(at, 'a truth value is neither', '0 or 1', `${byte}`);
  }

  #tensor(): Listed {
    const name = this.#text(ggufLimits.nameLength);
    const at = `${this.#source.at}: ${name}`;
    const rank = this.#u32();
    if (rank > ggufLimits.rank) throw bad(at, 'it has too many dimensions', `at most ${ggufLimits.rank}`, `${rank}`);
    const shape = Array.from({ length: rank }, () => this.#u64()).reverse();
    const type = this.#u32();
    const offset = this.#u64();
    const dtype = types.get(type);
    if (!dtype) throw bad(at, 'its type is not read here', [...types.values()].join(' '), `type ${type}`);
    const count = shape.reduce((product, size) => product * size, 1);
    const row = shape.at(-1) ?? 1;
    const block = isBlockDtype(dtype) ? blockFormats[dtype].entries : 1;
    if (!Number.isSafeInteger(8 * count) || !shape.every(Number.isSafeInteger))
      throw bad(at, 'the shape is too large', 'less than 2⁵⁰ entries', `[${shape.join(', ')}]`);
    if (row % block !== 0) throw bad(at, 'its rows are not whole blocks', `a multiple of ${block}`, `${row}`);
    return { name, dtype, shape, offset, byteLength: bytesOfEntries(dtype, count) };
  }

  /** Tensors follow each other, each at a multiple of the alignment, with nothing between them but padding. */
  #placed(listed: readonly Listed[], alignment: number): StoredTensor[] {
    const { at, length } = this.#source;
    const padded = (place: number): number => Math.ceil(place / alignment) * alignment;
    const start = padded(this.#place);
    let end = start;
    const sorted = [...listed].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
    const tensors = sorted.map(({ name, dtype, shape, offset, byteLength }): StoredTensor => {
      const byteOffset = start + offset;
      if (byteOffset !== padded(end))
        throw bad(
          `${at}: ${name}`,
          'it overlaps another tensor, or leaves a hole',
          `byte ${padded(end)}`,
          `${byteOffset}`,
        );
      end = byteOffset + byteLength;
      if (end > length) throw bad(`${at}: ${name}`, 'its data are cut off', `${end} bytes`, `${length} bytes`);
      return { name, dtype, shape, file: at, byteOffset, byteLength };
    });
    if (length > padded(end)) throw bad(at, 'bytes follow the last tensor', `${padded(end)} bytes`, `${length} bytes`);
    return tensors;
  }

  #text(most: number): string {
    const count = this.#u64();
    if (count > most) throw bad(this.#source.at, 'a text is too long', `at most ${most} bytes`, `${count} bytes`);
    const from = this.#take(count);
    // Tokens may be any bytes; what is no UTF-8 becomes U+FFFD.
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#bytes.subarray(from, from + count));
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #u64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw bad(this.#source.at, 'a number is too large', 'less than 2⁵³', String(value));
  }

  #take(count: number): number {
    const from = this.#place;
    if (from + count > this.#bytes.length) {
      throw new CircuitscopeError('truncated', `${this.#source.at} is cut off.`, { expected: `${from + count} bytes` });
    }
    this.#place = from + count;
    return from;
  }
}

/** Bytes of the types of numbers and truth values. */
const widths: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, at: string): number {
  const value = metadata.get('general.alignment') ?? 32;
  if (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= 1 &&
    value <= 65_536 &&
    (value & (value - 1)) === 0
  )
    return value;
  throw bad(
    `${at}: general.alignment`,
    'it is no alignment',
    'a power of two up to 65536',
    JSON.stringify(value).slice(0, 80),
  );
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_gguf', `${at} is not a usable GGUF file: ${what}; fetch or convert it again.`, {
    at,
    expected,
    got,
  });
}
