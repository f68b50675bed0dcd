import type { Offset } from '../byte-level-offsets.ts';

/** Twice the longest text that is read. */
const MOST_UNITS = 1 << 23;

/** One character of a rewritten text, and how many of the old ones it takes up, see `AlignedText.rewritten`. */
export type Rewrite = readonly [character: string, change: number];

/**
 * A piece of a text as it was rewritten: each UTF-16 unit knows the range of the given text that it stands for. The
 * conventions are those of Hugging Face's `NormalizedString`, whose offsets are the field's: a character that was put in has
 * the range of the one before it, one that swallowed those behind it keeps its own, without theirs.
 */
export class AlignedText {
  readonly text: string;
  /** Per unit of `text`, in units of the given text. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Where the piece begins in the given text. */
  readonly from: number;

  constructor(text: string, starts: Int32Array, ends: Int32Array, from: number) {
    this.text = text;
    this.starts = starts;
    this.ends = ends;
    this.from = from;
  }

  /** A text as it was given. Half characters count as U+FFFD, which is what their UTF-8 is. */
  static of(given: string): AlignedText {
    const text = given.toWellFormed();
    const starts = new Int32Array(text.length);
    const ends = new Int32Array(text.length);
    for (let at = 0; at < text.length; ) {
      const end = at + lengthAt(text, at);
      starts.fill(at, at, end);
      ends.fill(end, at, end);
      at = end;
    }
    return new AlignedText(text, starts, ends, 0);
  }

  slice(start: number, end: number): AlignedText {
    if (start === 0 && end === this.text.length && end > 0 && this.from === this.starts[0]) return this;
    const from = this.starts[start] ?? this.from;
    const { starts, ends } = this;
    return new AlignedText(this.text.slice(start, end), starts.subarray(start, end), ends.subarray(start, end), from);
  }

  /** The range of the given text that units `start` to `end` of this one stand for. */
  range(start: number, end: number): Offset {
    return start < end ? [this.starts[start] ?? this.from, this.ends[end - 1] ?? this.from] : [this.from, this.from];
  }

  /**
   * The text written anew, character by character: a change of 0 takes the place of one old character, 1 is put in and takes
   * none, −n takes one and the n behind it. `removed` characters at the beginning go first.
   */
  rewritten(rewrites: Iterable<Rewrite>, removed = 0): AlignedText {
    const writer = new Writer(this);
    let at = 0;
    const skip = (characters: number): void => {
      for (let i = 0; i < characters; i++) at += lengthAt(this.text, at);
    };
    skip(removed);
    for (const [character, change] of rewrites) {
      writer.write(character, change > 0 ? at - 1 : at);
      if (change <= 0) skip(1 - change);
    }
    return writer.end();
  }

  /** Without the characters that `keep` refuses. */
  filtered(keep: (character: string) => boolean): AlignedText {
    const writer = new Writer(this);
    let at = 0;
    for (const character of this.text) {
      if (keep(character)) writer.write(character, at);
      at += character.length;
    }
    return writer.end();
  }

  /** Each character in terms of those that take its place, at least one. */
  mapped(map: (character: string) => string): AlignedText {
    let text = '';
    let areAsLong = true;
    for (const character of this.text) {
      const fresh = map(character);
      text += fresh;
      if (fresh.length !== character.length) areAsLong = false;
    }
    if (areAsLong) return new AlignedText(text, this.starts, this.ends, this.from);
    const writer = new Writer(this);
    let at = 0;
    for (const character of this.text) {
      writer.write(map(character), at);
      at += character.length;
    }
    return writer.end();
  }

  /** What the ranges hold gives way to `content`, which has the place of the last character of each. */
  replaced(ranges: Iterable<Offset>, content: string): AlignedText {
    const writer = new Writer(this);
    let at = 0;
    for (const [start, end] of ranges) {
      writer.copy(at, start);
      writer.write(content, end - 1);
      at = end;
    }
    writer.copy(at, this.text.length);
    return writer.end();
  }

  /** With `content` before it, which has the place of the first character; an empty text stays so. */
  prepended(content: string): AlignedText {
    if (this.text === '') return this;
    const writer = new Writer(this);
    writer.write(content, 0);
    writer.copy(0, this.text.length);
    return writer.end();
  }
}

/** Collects a new text; places are units of the old one, −1 is before its beginning. */
class Writer {
  readonly #source: AlignedText;
  #text = '';
  #starts: Int32Array;
  #ends: Int32Array;
  #length = 0;

  constructor(source: AlignedText) {
    this.#source = source;
    this.#starts = new Int32Array(source.text.length + 8);
    this.#ends = new Int32Array(source.text.length + 8);
  }

  write(text: string, place: number): void {
    const { starts, ends, from } = this.#source;
    const end = this.#grow(text);
    this.#starts.fill(starts[place] ?? from, this.#length, end);
    this.#ends.fill(ends[place] ?? from, this.#length, end);
    this.#length = end;
  }

  copy(start: number, end: number): void {
    if (start >= end) return;
    const { text, starts, ends } = this.#source;
    const grown = this.#grow(text.slice(start, end));
    this.#starts.set(starts.subarray(start, end), this.#length);
    this.#ends.set(ends.subarray(start, end), this.#length);
    this.#length = grown;
  }

  end(): AlignedText {
    const [starts, ends] = [this.#starts.subarray(0, this.#length), this.#ends.subarray(0, this.#length)];
    return new AlignedText(this.#text, starts, ends, this.#source.from);
  }

  #grow(text: string): number {
    this.#text += text;
    const length = this.#length + text.length;
    // A file's replacements can double a text again and again.
    if (length > MOST_UNITS) throw new RangeError(`the text grows beyond ${MOST_UNITS} units when it is normalized`);
    if (length > this.#starts.length) {
      const most = Math.min(2 * length, MOST_UNITS);
      const [starts, ends] = [new Int32Array(most), new Int32Array(most)];
      starts.set(this.#starts);
      ends.set(this.#ends);
      [this.#starts, this.#ends] = [starts, ends];
    }
    return length;
  }
}

/** Units of the character at a place; 1 behind the end, so that counting on is harmless. */
function lengthAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit < 0xdc00 && at + 1 < text.length ? 2 : 1;
}
