import { fromFloat16 } from './half.ts';

/** Types that hold entries in blocks with shared scales (ggml's). */
export type BlockDtype = 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q8_0' | 'q2_k' | 'q3_k' | 'q4_k' | 'q5_k' | 'q6_k';

interface BlockFormat {
  readonly entries: number;
  readonly bytes: number;
  /** Writes the entries of the block at `at` to `out` from `to` on. */
  readonly unpack: (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;
}

const half = (bytes: Uint8Array, at: number): number => fromFloat16((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
const signed = (byte: number): number => (byte << 24) >> 24;
const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

/*
 * Every value is scale·q or scale·q − min with a q of few bits: products of a half and small integers are exact in float64,
 * so that storing to float32 rounds once, as the reference does. Groups of a K block have 16 or 32 entries.
 */
export const blockFormats: Readonly<Record<BlockDtype, BlockFormat>> = {
  /** half d, 16 bytes: entry l < 16 is the low half of byte l, l + 16 its high half; d·(q − 8). */
  q4_0: nibbles(18, 2, (bytes, at) => ({ d: half(bytes, at), m: null, zero: 8, high: 0 })),
  /** half d, half m, 16 bytes: d·q + m. */
  q4_1: nibbles(20, 4, (bytes, at) => ({ d: half(bytes, at), m: half(bytes, at + 2), zero: 0, high: 0 })),
  /** half d, 32 fifth bits, 16 bytes: d·(q − 16). */
  q5_0: nibbles(22, 6, (bytes, at) => ({ d: half(bytes, at), m: null, zero: 16, high: word(bytes, at + 2) })),
  /** half d, half m, 32 fifth bits, 16 bytes: d·q + m. */
  q5_1: nibbles(24, 8, (bytes, at) => ({
    d: half(bytes, at),
    m: half(bytes, at + 2),
    zero: 0,
    high: word(bytes, at + 4),
  })),
  /** half d, 32 signed bytes: d·q. */
  q8_0: {
    entries: 32,
    bytes: 34,
    unpack: (bytes, at, out, to) => {
      const d = half(bytes, at);
      for (let l = 0; l < 32; l++) out[to + l] = d * signed(byteAt(bytes, at + 2 + l));
    },
  },
  /** 16 bytes of scale (low) and min (high), 64 bytes of 2 bits, half d, half dmin. */
  q2_k: {
    entries: 256,
    bytes: 84,
    unpack: (bytes, at, out, to) => {
      const [d, dmin] = [half(bytes, at + 80), half(bytes, at + 82)];
      twoBits((i, group, quarter, l) => {
        const scale = byteAt(bytes, at + group);
        const q = (byteAt(bytes, at + 16 + 32 * (quarter >> 2) + l) >> (2 * (quarter & 3))) & 3;
        out[to + i] = d * (scale & 15) * q - dmin * (scale >> 4);
      });
    },
  },
  /** 32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of sixteen 6-bit scales, half d. */
  q3_k: {
    entries: 256,
    bytes: 110,
    unpack: (bytes, at, out, to) => {
      const d = half(bytes, at + 108);
      twoBits((i, group, quarter, l) => {
        const low = byteAt(bytes, at + 96 + (group & 7)) >> (group < 8 ? 0 : 4);
        const high = byteAt(bytes, at + 104 + (group & 3)) >> (2 * (group >> 2));
        const scale = ((low & 15) | ((high & 3) << 4)) - 32;
        const q = (byteAt(bytes, at + 32 + 32 * (quarter >> 2) + l) >> (2 * (quarter & 3))) & 3;
        out[to + i] = d * scale * (q - ((byteAt(bytes, at + l) >> quarter) & 1 ? 0 : 4));
      });
    },
  },
  /** half d, half dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of 4 bits. */
  q4_k: {
    entries: 256,
    bytes: 144,
    unpack: (bytes, at, out, to) => fourBits(bytes, at, at + 16, () => 0, out, to),
  },
  /** As q4_k, with 32 bytes of fifth bits before the 4 bits. */
  q5_k: {
    entries: 256,
    bytes: 176,
    unpack: (bytes, at, out, to) =>
      fourBits(bytes, at, at + 48, (group, l) => ((byteAt(bytes, at + 16 + l) >> group) & 1) << 4, out, to),
  },
  /** 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, half d. */
  q6_k: {
    entries: 256,
    bytes: 210,
    unpack: (bytes, at, out, to) => {
      const d = half(bytes, at + 208);
      twoBits((i, group, quarter, l) => {
        const [side, part] = [quarter >> 2, quarter & 3];
        const low = byteAt(bytes, at + 64 * side + 32 * (part & 1) + l) >> (part < 2 ? 0 : 4);
        const high = byteAt(bytes, at + 128 + 32 * side + l) >> (2 * part);
        out[to + i] = d * signed(byteAt(bytes, at + 192 + group)) * (((low & 15) | ((high & 3) << 4)) - 32);
      });
    },
  },
};

export function isBlockDtype(dtype: string): dtype is BlockDtype {
  return Object.hasOwn(blockFormats, dtype);
}

/** Blocks of 32 entries in two halves of 16 bytes. */
function nibbles(
  bytes: number,
  start: number,
  scales: (bytes: Uint8Array, at: number) => { d: number; m: number | null; zero: number; high: number },
): BlockFormat {
  return {
    entries: 32,
    bytes,
    unpack: (from, at, out, to) => {
      const { d, m, zero, high } = scales(from, at);
      for (let l = 0; l < 32; l++) {
        const low = (byteAt(from, at + start + (l & 15)) >> (l < 16 ? 0 : 4)) & 15;
        const value = d * ((low | (((high >>> l) & 1) << 4)) - zero);
        out[to + l] = m === null ? value : value + m; // adding 0 would lose a minus zero
      }
    },
  };
}

/** Entry i of 256 with its group of 16 (0 … 15), its 32 (0 … 7, four to each half) and its place in the 32. */
function twoBits(entry: (i: number, group: number, quarter: number, l: number) => void): void {
  for (let i = 0; i < 256; i++) entry(i, i >> 4, i >> 5, i & 31);
}

/** Groups of 32: the even ones are low halves of 32 bytes, the odd ones their high halves. Scales and mins have 6 bits each. */
function fourBits(
  bytes: Uint8Array,
  at: number,
  quants: number,
  fifth: (group: number, l: number) => number,
  out: Float32Array,
  to: number,
): void {
  const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const byte = (i: number): number => byteAt(bytes, at + 4 + i);
    const scale = group < 4 ? byte(group) & 63 : (byte(group + 4) & 15) | ((byte(group - 4) >> 6) << 4);
    const min = group < 4 ? byte(group + 4) & 63 : (byte(group + 4) >> 4) | ((byte(group) >> 6) << 4);
    for (let l = 0; l < 32; l++) {
      const q = (byteAt(bytes, quants + 32 * (group >> 1) + l) >> (group & 1 ? 4 : 0)) & 15;
      out[to + 32 * group + l] = d * scale * (q + fifth(group, l)) - dmin * min;
    }
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)
  );
}
