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

/** How the entries of an input are spread; `uniform` where nothing is said. */
export type BenchEntries = 'uniform' | 'bf16' | 'gaussian' | 'outliers';

/** Streams that are added up where entries are to be nearly Gaussian. */
const SUMMED = 12;
/** In trained residual streams a few dimensions tower over the rest (Dettmers et al. 2022): here three of 768. */
const TOWERING = { every: 256, first: 138, factor: 64 };

/**
 * Entries of an input whose last axis is `width` long. `bf16`: uniform ones that bf16 holds. `gaussian`: half the sum of
 * twelve uniform streams, so mean 0, variance 1 and no tail beyond 6; sums of 24-bit fractions are exact in float64, which
 * a logarithm would not be in every program. `outliers`: the same with dimensions 138, 394, 650, … 64 times as large.
 */
export function benchEntries(kind: BenchEntries, length: number, stream: number, width: number): Float32Array {
  if (kind === 'uniform') return benchData(length, stream);
  if (kind === 'bf16') return asBf16(benchData(length, stream)).values;
  const sums = new Float64Array(length);
  for (let other = 0; other < SUMMED; other++) {
    benchData(length, stream + 100 * other).forEach((entry, at) => {
      sums[at] = (sums[at] as number) + entry;
    });
  }
  return Float32Array.from(sums, (sum, at) => {
    const towers = kind === 'outliers' && (at % width) % TOWERING.every === TOWERING.first;
    return (sum / 2) * (towers ? TOWERING.factor : 1);
  });
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
