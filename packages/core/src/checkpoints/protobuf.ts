import { CircuitscopeError } from '@circuitscope/schema';
import type { ByteSource } from './byte-source.ts';

/** One field of a message: a number, or the range of bytes that it takes in the file. */
export type ProtoField =
  | { readonly number: number; readonly kind: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly kind: 'bytes'; readonly start: number; readonly end: number }
  | { readonly number: number; readonly kind: 'fixed'; readonly start: number; readonly end: number };

const WINDOW = 1 << 16;

/**
 * A protobuf message in a file, field by field: long fields are passed over without being read, every length is checked
 * against the message that holds it. Groups are refused.
 */
export class ProtoReader {
  readonly #source: ByteSource;
  readonly #code: string;
  #window = new Uint8Array();
  #from = 0;

  /** @param code of the errors */
  constructor(source: ByteSource, code: string) {
    this.#source = source;
    this.#code = code;
  }

  *fields(start: number, end: number): Generator<ProtoField> {
    let place = start;
    while (place < end) {
      const key = this.#varint(place, end);
      place = key.next;
      const number = Number(key.value >> 3n);
      const wire = Number(key.value & 7n);
      if (number < 1 || number > 536_870_911) throw this.#bad('a field has no number', '1 or more', `${number}`, place);
      if (wire === 0) {
        const { value, next } = this.#varint(place, end);
        place = next;
        yield { number, kind: 'varint', value };
        continue;
      }
      if (wire !== 1 && wire !== 2 && wire !== 5)
        throw this.#bad('a field has an unknown kind', 'varint, bytes or fixed', `${wire}`, place);
      let length = wire === 1 ? 8 : 4;
      if (wire === 2) {
        const { value, next } = this.#varint(place, end);
        place = next;
        if (value > BigInt(end - place))
          throw this.#bad('a field is longer than what holds it', `${end - place} bytes`, `${value} bytes`, place);
        length = Number(value);
      }
      if (place + length > end) throw this.#bad('a field is cut off', `${length} bytes`, `${end - place} bytes`, place);
      yield { number, kind: wire === 2 ? 'bytes' : 'fixed', start: place, end: place + length };
      place += length;
    }
  }

  /** @param most bytes */
  text(field: ProtoField, most: number): string {
    const bytes = this.bytes(field, most);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  }

  bytes(field: ProtoField, most: number): Uint8Array {
    if (field.kind === 'varint') throw this.#bad('a number stands where bytes belong', 'bytes', 'a number', 0);
    const length = field.end - field.start;
    if (length > most) throw this.#bad('a text is too long', `at most ${most} bytes`, `${length} bytes`, field.start);
    return this.#source.read(field.start, length);
  }

  float(field: ProtoField): number {
    const bytes = this.bytes(field, 4);
    if (bytes.length < 4) throw this.#bad('a float is cut off', '4 bytes', `${bytes.length} bytes`, 0);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(0, true);
  }

  /** A number; 64-bit two's complement. */
  int(field: ProtoField): number {
    const value = field.kind === 'varint' ? BigInt.asIntN(64, field.value) : undefined;
    if (value !== undefined && BigInt.asIntN(54, value) === value) return Number(value);
    throw this.#bad('a number is too large, or none', 'less than 2⁵³', String(value), 0);
  }

  /** A repeated number, packed or alone. @param most numbers in one field */
  ints(field: ProtoField, most: number): number[] {
    if (field.kind === 'varint') return [this.int(field)];
    const values: number[] = [];
    let place = field.start;
    while (place < field.end) {
      const { value, next } = this.#varint(place, field.end);
      values.push(this.int({ number: field.number, kind: 'varint', value }));
      if (values.length > most) throw this.#bad('a list is too long', `at most ${most} numbers`, 'more', field.start);
      place = next;
    }
    return values;
  }

  #varint(place: number, end: number): { readonly value: bigint; readonly next: number } {
    let value = 0n;
    for (let i = 0; i < 10; i++) {
      if (place + i >= end) throw this.#bad('a number is cut off', 'its last byte', 'none', place);
      const byte = this.#byte(place + i);
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return { value: BigInt.asUintN(64, value), next: place + i + 1 };
    }
    throw this.#bad('a number never ends', 'at most ten bytes', 'more', place);
  }

  #byte(place: number): number {
    if (place < this.#from || place >= this.#from + this.#window.length) {
      this.#from = place;
      this.#window = this.#source.read(place, Math.min(WINDOW, this.#source.length - place)).slice();
    }
    return this.#window[place - this.#from] ?? 0;
  }

  #bad(what: string, expected: string, got: string, place: number): CircuitscopeError {
    const { at } = this.#source;
    const message = `${at} is not a usable protobuf file: ${what}; fetch or export it again.`;
    return new CircuitscopeError(this.#code, message, { at: `${at}: byte ${place}`, expected, got });
  }
}
