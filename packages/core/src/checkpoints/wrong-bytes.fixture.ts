import type { Rng } from '../tensor/index.ts';

/** Numbers at which sizes, signs and conversions turn over. */
const edges = [0n, 1n, 2n ** 7n, 2n ** 15n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 53n, 2n ** 63n];
/** Openings of the nested things that formats know: JSON, tuples, pickled marks, lists and dicts, protobuf's messages. */
const openings = ['[', '{"a":', '(', '((', '\u005d\u0028', '}\u0028', '\u003a\u0002'];

/**
 * The bytes with one to four mistakes of the kinds that break parsers: wrong bytes, an end that is missing, sizes that are
 * inflated or exchanged, parts that stand twice or are gone, things nested in each other.
 */
export function wrongBytes(base: Uint8Array, rng: Rng): Uint8Array {
  // Not base.slice(): a Buffer's shares its bytes.
  let bytes: Uint8Array = Uint8Array.from(base);
  for (let mistakes = 1 + rng.below(3); mistakes > 0; mistakes--) bytes = mistake(bytes, rng);
  return bytes;
}

function mistake(bytes: Uint8Array, rng: Rng): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(rng.below(256));
  const at = rng.below(bytes.length);
  switch (rng.below(12)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << rng.below(8));
      return bytes;
    case 1:
      return bytes.slice(0, at);
    case 2: {
      // An integer of 2, 4 or 8 bytes, at the turn of some range or a little beside it.
      const width = [2, 4, 8][rng.below(3)] ?? 4;
      const value = BigInt.asUintN(8 * width, (edges[rng.below(edges.length)] ?? 0n) + BigInt(rng.below(5) - 2));
      for (let i = 0; i < width && at + i < bytes.length; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
      return bytes;
    }
    case 3: {
      // Two fields of equal width change places.
      const width = [1, 2, 4, 8][rng.below(4)] ?? 4;
      const other = rng.below(bytes.length);
      const [one, two] = [bytes.slice(at, at + width), bytes.slice(other, other + width)];
      if (Math.max(at, other) + width > bytes.length) return bytes;
      bytes.set(two, at);
      bytes.set(one, other);
      return bytes;
    }
    case 4: {
      const part = bytes.slice(at, at + 1 + rng.below(64));
      return spliced(bytes, rng.below(bytes.length + 1), 0, part);
    }
    case 5:
      return spliced(bytes, at, 1 + rng.below(32), new Uint8Array());
    case 6: {
      const opening = openings[rng.below(openings.length)] ?? '[';
      return spliced(bytes, at, 0, new TextEncoder().encode(opening.repeat(1 + rng.below(200))));
    }
    case 7: {
      // Digits of numbers that are written out: sizes grow, become negative, fractions, exponents.
      const digits = bytes.findIndex((byte, i) => i >= at && byte >= 0x30 && byte <= 0x39);
      const texts = ['9'.repeat(1 + rng.below(20)), '-1', '1e308', '0.5', '4294967296', '0', 'null', '""', '[]', '{}'];
      return digits < 0 ? bytes : spliced(bytes, digits, 1, new TextEncoder().encode(texts[rng.below(texts.length)]));
    }
    default:
      bytes[at] = [0, 1, 0x7f, 0x80, 0xff, rng.below(256)][rng.below(6)] ?? 0;
      return bytes;
  }
}

function spliced(bytes: Uint8Array, at: number, drop: number, put: Uint8Array): Uint8Array {
  const after = bytes.subarray(Math.min(bytes.length, at + drop));
  const out = new Uint8Array(at + put.length + after.length);
  out.set(bytes.subarray(0, at));
  out.set(put, at);
  out.set(after, at + put.length);
  return out;
}
