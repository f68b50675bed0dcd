import { CircuitscopeError } from '@circuitscope/schema';

/** Where a structure of an HDF5 file says that there is nothing. */
const UNDEFINED = 0xffffffffffffffffn;

/** Goes through the bytes of one structure of an HDF5 file, little-endian, and never past its end. */
export class Hdf5Cursor {
  readonly bytes: Uint8Array;
  readonly at: string;
  place = 0;
  readonly #view: DataView;

  /** @param at the structure, for errors */
  constructor(bytes: Uint8Array, at: string) {
    this.bytes = bytes;
    this.at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.place;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A length or count of 8 bytes. */
  size(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw badHdf5(this.at, 'a size is beyond every file', `at most ${Number.MAX_SAFE_INTEGER}`, `${value}`);
  }

  /** A place in the file; undefined where there is none. */
  address(): number | undefined {
    if (this.#view.getBigUint64(this.#take(8), true) === UNDEFINED) return undefined;
    this.place -= 8;
    return this.size();
  }

  take(length: number): Uint8Array {
    const from = this.#take(length);
    return this.bytes.subarray(from, from + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** To the next multiple of 8, as far as there are bytes. */
  align(): void {
    this.place = Math.min(this.bytes.length, Math.ceil(this.place / 8) * 8);
  }

  /** Refuses a value other than the one that is read here. */
  expect(what: string, got: number, ...allowed: readonly number[]): void {
    if (allowed.includes(got)) return;
    throw badHdf5(this.at, `${what} is not read here`, allowed.join(' or '), `${got}`);
  }

  /** Four letters that begin a structure. */
  signature(word: string): void {
    const got = text(this.take(4));
    if (got !== word) throw badHdf5(this.at, 'a structure does not begin as it must', word, JSON.stringify(got));
  }

  #take(length: number): number {
    if (length < 0 || length > this.left)
      throw badHdf5(this.at, 'a structure is cut off', `${this.place + length} bytes`, `${this.bytes.length} bytes`);
    const from = this.place;
    this.place += length;
    return from;
  }
}

/** Text up to its first zero byte; bytes that are no UTF-8 become the sign for such. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export function badHdf5(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_hdf5',
    `${at} cannot be read as HDF5: ${what}; write it again with h5py as Keras does, in the earliest format, with gzip or nothing.`,
    { at, expected, got },
  );
}
