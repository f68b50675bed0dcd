import type { Accuracy, OutputRow } from './operation.ts';

// Float64 on the same inputs, row by row, with the bound that rounding in float32 keeps: u = 2⁻²⁴, n·u·Σ|a·b| for a chain
// of n products in any order (Jeannerod and Rump 2013), the fixed trees and polynomials as the kernels' README states them.

const u = 2 ** -24;
const uBf16 = 2 ** -8;
const tiny = 2 ** -126;

/** Collects distances as shares of their bounds; NaN is as wrong as can be. */
class Tally {
  #max = 0;
  #of = 0;
  #count = 0;

  add(got: number | undefined, wanted: number, bound: number): void {
    const error = Math.abs((got ?? Number.NaN) - wanted);
    this.#count += 1;
    this.#max = Math.max(this.#max, Number.isNaN(error) ? Number.MAX_VALUE : error);
    this.#of = Math.max(this.#of, Number.isNaN(error) ? Number.MAX_VALUE : error / (bound + tiny));
  }

  result(): Accuracy {
    return { maxError: this.#max, ofBound: this.#of, checked: this.#count };
  }
}

/** Σ_k x[k]·w[k, n] and Σ_k |…| for all n. */
function product(x: Float32Array, w: Float32Array, columns: number): { sums: Float64Array; sizes: Float64Array } {
  const [sums, sizes] = [new Float64Array(columns), new Float64Array(columns)];
  x.forEach((factor, k) => {
    for (let n = 0, at = k * columns; n < columns; n++, at++) {
      const term = factor * (w[at] as number);
      sums[n] = (sums[n] as number) + term;
      sizes[n] = (sizes[n] as number) + Math.abs(term);
    }
  });
  return { sums, sizes };
}

export function checkMatmul(x: Float32Array, w: Float32Array, k: number, n: number) {
  return (rows: readonly OutputRow[], output?: 'bf16'): Accuracy => {
    const rounding = output === 'bf16' ? uBf16 : 0;
    const tally = new Tally();
    for (const { row, values } of rows) {
      const { sums, sizes } = product(x.subarray(row * k, (row + 1) * k), w, n);
      for (let column = 0; column < n; column++)
        tally.add(
          values[column],
          sums[column] as number,
          (k + 1) * u * (sizes[column] as number) + rounding * Math.abs(sums[column] as number),
        );
    }
    return tally.result();
  };
}

/** The kept columns must hold their values, none twice, and nothing larger may have been left out. */
export function checkProjection(x: Float32Array, w: Float32Array, bias: Float32Array, k: number, kept: number) {
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    const n = bias.length;
    for (const { row, values, indices } of rows) {
      const { sums, sizes } = product(x.subarray(row * k, (row + 1) * k), w, n);
      const value = (column: number): number => (sums[column] as number) + (bias[column] as number);
      const bound = (column: number): number =>
        (k + 2) * u * ((sizes[column] as number) + Math.abs(bias[column] as number));
      const seen = new Set<number>();
      let least = Number.POSITIVE_INFINITY;
      for (let at = 0; at < kept; at++) {
        const column = Number(indices?.[at]);
        const known = column >= 0 && column < n && !seen.has(column);
        seen.add(column);
        tally.add(known ? values[at] : Number.NaN, known ? Math.max(0, value(column)) : 0, known ? bound(column) : 0);
        least = Math.min(least, Number(values[at]));
      }
      for (let column = 0; column < n; column++)
        if (!seen.has(column)) tally.add(Math.max(value(column), least), least, bound(column));
    }
    return tally.result();
  };
}

/** Row r of z is position r: all heads side by side. */
export function checkAttention(data: readonly Float32Array[], heads: number, width: number, scale: number) {
  const [q, k, v] = data as [Float32Array, Float32Array, Float32Array];
  const step = heads * width;
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    for (const { row, values } of rows) {
      for (let head = 0; head < heads; head++) {
        const scores: number[] = [];
        let slack = 0;
        for (let key = 0; key <= row; key++) {
          let [sum, size] = [0, 0];
          for (let at = 0; at < width; at++) {
            const term = (q[row * step + head * width + at] as number) * (k[key * step + head * width + at] as number);
            sum += term;
            size += Math.abs(term);
          }
          scores.push(sum * scale);
          slack = Math.max(slack, (width + 2) * u * size * scale);
        }
        const max = Math.max(...scores);
        const reach = 1 + max - Math.min(...scores);
        const weights = scores.map((score) => Math.exp(score - max));
        const total = weights.reduce((a, b) => a + b, 0);
        const relative = 2 * slack + (Math.ceil(scores.length / 32) + 16) * u * reach + (scores.length + 1) * u;
        for (let at = 0; at < width; at++) {
          let [sum, size] = [0, 0];
          weights.forEach((weight, key) => {
            const term = (weight / total) * (v[key * step + head * width + at] as number);
            sum += term;
            size += Math.abs(term);
          });
          tally.add(values[head * width + at], sum, relative * size);
        }
      }
    }
    return tally.result();
  };
}

function softmaxOf(x: Float32Array): { p: Float64Array; bound: (at: number) => number } {
  const max = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const p = Float64Array.from(x, (value) => Math.exp(value - max));
  const total = p.reduce((a, b) => a + b, 0);
  p.forEach((value, at) => {
    p[at] = value / total;
  });
  const steps = Math.ceil(x.length / 32) + 16;
  return { p, bound: (at) => steps * u * (p[at] as number) * (1 + Math.abs((x[at] as number) - max)) };
}

export function checkSoftmax(x: Float32Array, width: number) {
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    for (const { row, values } of rows) {
      const { p, bound } = softmaxOf(x.subarray(row * width, (row + 1) * width));
      p.forEach((wanted, at) => {
        tally.add(values[at], wanted, bound(at));
      });
    }
    return tally.result();
  };
}

export function checkLayerNorm(x: Float32Array, w: Float32Array, b: Float32Array, eps: number) {
  const width = w.length;
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    for (const { row, values } of rows) {
      const entries = Float64Array.from(x.subarray(row * width, (row + 1) * width));
      const mean = entries.reduce((a, c) => a + c, 0) / width;
      const variance = entries.reduce((a, c) => a + (c - mean) ** 2, 0) / width;
      const scale = Math.sqrt(variance + eps);
      entries.forEach((entry, at) => {
        const normal = (entry - mean) / scale;
        const [weight, bias] = [w[at] as number, b[at] as number];
        const bound = u * (Math.ceil(width / 32) + 24) * ((Math.abs(normal) + 1) * Math.abs(weight) + Math.abs(bias));
        tally.add(values[at], normal * weight + bias, bound);
      });
    }
    return tally.result();
  };
}

export interface ConvolutionSizes {
  readonly channels: number;
  readonly side: number;
  readonly filters: number;
}

/** 3 × 3, stride 1, one line of zeros around. Row r of the output is (image, filter) number r. */
export function checkConvolution(x: Float32Array, w: Float32Array, { channels, side, filters }: ConvolutionSizes) {
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    for (const { row, values } of rows) {
      const [image, filter] = [Math.floor(row / filters), row % filters];
      for (let y = 0; y < side; y++) {
        for (let at = 0; at < side; at++) {
          let [sum, size] = [0, 0];
          for (let channel = 0; channel < channels; channel++) {
            for (let down = 0; down < 9; down++) {
              const [i, j] = [y + Math.floor(down / 3) - 1, at + (down % 3) - 1];
              if (i < 0 || j < 0 || i >= side || j >= side) continue;
              const pixel = x[((image * channels + channel) * side + i) * side + j] as number;
              const term = pixel * (w[(filter * channels + channel) * 9 + down] as number);
              sum += term;
              size += Math.abs(term);
            }
          }
          tally.add(values[y * side + at], sum, (9 * channels + 1) * u * size);
        }
      }
    }
    return tally.result();
  };
}

export function checkCrossEntropyGrad(logits: Float32Array, ids: Int32Array, ct: Float32Array, width: number) {
  return (rows: readonly OutputRow[]): Accuracy => {
    const tally = new Tally();
    for (const { row, values } of rows) {
      const { p, bound } = softmaxOf(logits.subarray(row * width, (row + 1) * width));
      const factor = ct[row] as number;
      p.forEach((value, at) => {
        const wanted = factor * (at === ids[row] ? value - 1 : value);
        tally.add(values[at], wanted, Math.abs(factor) * (bound(at) + u) + u * Math.abs(wanted));
      });
    }
    return tally.result();
  };
}
