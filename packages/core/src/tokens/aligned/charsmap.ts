import type { Rewrite } from './aligned-text.ts';
import { UnknownPart } from './unknown-part.ts';

/**
 * SentencePiece's compiled replacements, as T5, XLM-R and their like carry them (`precompiled_charsmap`): the length of a
 * double-array trie, its units of 4 bytes, then texts that end with a 0 each. Layout of a unit (Darts-clone): bits 0–7 a
 * label, 8 whether a value follows, 9 and 10–31 the offset of the children; a value's unit has bit 31 set.
 */
export function openCharsmap(base64: string): (text: string) => string | undefined {
  const bytes = bytesOf(base64);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length >= 4 ? view.getUint32(0, true) : -1;
  if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length) throw new UnknownPart('a charsmap that is cut off');
  const texts = bytes.subarray(4 + size);
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(texts);
  } catch {
    throw new UnknownPart('a charsmap whose texts are no UTF-8');
  }
  const unit = (at: number): number => (4 * at < size ? view.getUint32(4 + 4 * at, true) : 0x8000_0000);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encoder = new TextEncoder();
  const childrenOf = (value: number): number => (value >>> 10) << ((value & 0x200) >>> 6);

  /** The replacement of the shortest beginning of a text that has one, as the reference has it. */
  const look = (text: string): string | undefined => {
    let place = childrenOf(unit(0));
    for (const byte of encoder.encode(text)) {
      if (byte === 0) return undefined;
      place = (place ^ byte) >>> 0;
      const value = unit(place);
      if ((value & 0x8000_00ff) >>> 0 !== byte) return undefined;
      place = (place ^ childrenOf(value)) >>> 0;
      if ((value & 0x100) === 0) continue;
      const start = unit(place) & 0x7fff_ffff;
      const end = texts.indexOf(0, start);
      return decoder.decode(texts.subarray(start, end < 0 ? texts.length : end));
    }
    return undefined;
  };
  const known = new Map<string, string | undefined>();
  return (text) => {
    if (known.has(text)) return known.get(text);
    if (known.size >= 1 << 14) known.clear();
    const found = look(text);
    known.set(text, found);
    return found;
  };
}

/**
 * The rewrites of a text: clusters below 6 bytes as a whole where they have a replacement, else character by character.
 * `removed` counts characters that are replaced by nothing at the beginning.
 */
export function charsmapRewrites(
  text: string,
  replacement: (text: string) => string | undefined,
): { readonly rewrites: Rewrite[]; readonly removed: number } {
  const rewrites: Rewrite[] = [];
  let removed = 0;
  const replace = (old: string, fresh: string): void => {
    const characters = [...fresh];
    const more = characters.length - [...old].length;
    characters.forEach((character, i) => {
      rewrites.push([character, more > 0 && i >= characters.length - more ? 1 : 0]);
    });
    const last = rewrites.at(-1);
    if (more < 0 && last) rewrites[rewrites.length - 1] = [last[0], last[1] + more];
    else if (more < 0) removed -= more;
  };
  for (const { segment } of clusters.segment(text)) {
    const whole = utf8Length(segment) < 6 ? replacement(segment) : undefined;
    if (whole !== undefined) {
      replace(segment, whole);
      continue;
    }
    for (const character of segment) {
      const fresh = replacement(character);
      if (fresh === undefined) rewrites.push([character, 0]);
      else replace(character, fresh);
    }
  }
  return { rewrites, removed };
}

function utf8Length(text: string): number {
  let length = 0;
  for (const character of text)
    length += character < '\x80' ? 1 : character < '\u0800' ? 2 : character.length === 1 ? 3 : 4;
  return length;
}

const clusters = new Intl.Segmenter('en', { granularity: 'grapheme' });

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    throw new UnknownPart('a charsmap that is no base64');
  }
}
