/**
 * Entries in [−1, 1) with 24 random bits, each a function of its index and the stream alone: another program makes the
 * same ones without being sent them. Two rounds of multiply and shift (after MurmurHash3's finaliser).
 */
export function benchData(length: number, stream: number): Float32Array {
  const out = new Float32Array(length);
  for (let at = 0; at < length; at++) {
    let h = (at + Math.imul(stream, 0x9e3779b9)) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
    h = (h ^ (h >>> 16)) >>> 0;
    out[at] = (h >>> 8) / 2 ** 23 - 1;
  }
  return out;
}

/** The same rounded to bf16 by dropping the low half, so that both forms hold the same numbers. */
export function asBf16(values: Float32Array): { readonly bits: Uint16Array; readonly values: Float32Array } {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  const widened = new Float32Array(values.length);
  const into = new Uint32Array(widened.buffer);
  for (let at = 0; at < words.length; at++) {
    const high = (words[at] as number) >>> 16;
    bits[at] = high;
    into[at] = high << 16;
  }
  return { bits, values: widened };
}
